"""Give each update cycle its policy: pulsed or exact, BL, UM, UBLM, and what its cell is.

Source of update management: Gokmen, Onen & Haensch 2017 (arXiv 1705.08014). Not for the pulses
themselves: the runtime draws them (physics.md section 3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, TypeAlias

import onnx_ir as ir

from rpucc.layers import analog_layers
from rpucc.passes.base import RpuPass
from rpucc.passes.cell_updates import CellUpdates
from rpucc.stamps import set_attributes, stamp_of

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy, Target

Granularity: TypeAlias = "Callable[[LayerPolicy, str], float]"
"""What a pulse of the devices of a plane does on average, from a layer's policy and its name."""


def coarse(policy: LayerPolicy, plane: str) -> float:
    """Return a step of 0.001, whatever the devices."""
    return 1e-3


@dataclass(frozen=True)
class AssignUpdate(RpuPass):
    """Stamp the layer's update policy on its Update nodes.

    Requires: a tiled training graph. Leaves behind: on every Update the keys that are
    `OnNode("Update")`: pulsed, bl, update_management and update_bl_management. With pulsed = 0 the
    update is exact and the other three are 0: nothing reads them. A layer whose cell has a state
    gets the op of the cell, with the cell's keys (`cell_updates.py`) and, where its body makes
    whole steps, what steps its devices make (`Cell.steps`).

        before: W2 = Update(W, x, d, lr)
        after:  W2 = Update(W, x, d, lr) pulsed=1 bl=10 update_management=0 update_bl_management=0
    """

    target: Target
    granularity: Granularity = field(default=coarse, repr=False, compare=False)

    name: ClassVar[str] = "assign_update"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Update."""
        changed = False
        updates = CellUpdates(model)
        for layer in analog_layers(model):
            policy = self.target.for_layer(layer.name)
            cell = policy.cell.settings
            for update in layer.updates:
                changed = True
                node = updates.give_state(update, cell) if cell.state else update
                steps = {
                    name: self.granularity(policy, plane) for name, plane in cell.steps.items()
                }
                set_attributes(node, stamp_of(policy, node) | steps)
        updates.finish()
        return ir.passes.PassResult(model, modified=changed)
