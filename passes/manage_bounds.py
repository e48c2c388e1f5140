"""Bound management (BM): a read that saturates is repeated with a smaller input.

Source: Gokmen, Onen & Haensch 2017 (arXiv 1705.08014); the worst-case mode is the idea of aihwkit's
`BoundManagementType.ITERATIVE_WORST_CASE` (docs/physics.md section 2 says what differs). Not for
noise management.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.layers import analog_layers
from rpucc.passes.base import RpuPass

if TYPE_CHECKING:
    from rpucc.target import Management, Target


@dataclass(frozen=True)
class ManageBounds(RpuPass):
    """Turn Reads into BoundedReads in the cycles that the target names.

    Requires: tiled Reads with their periphery. A Read without a bound (0) cannot saturate and
    stays. Leaves behind: BoundedRead with the Read's name, inputs, outputs and attributes, and
    max_halvings; in the worst-case mode assumed_w_max too.

        before: part = Read(x, W) bound=12
        after:  part = BoundedRead(x, W) bound=12 max_halvings=10
    """

    target: Target

    name: ClassVar[str] = "manage_bounds"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the op of every Read that is to be managed."""
        changed = False
        for layer in analog_layers(model):
            management = self.target.for_layer(layer.name).management
            chosen = [*(layer.forward if management.bound_forward else [])]
            chosen += layer.backward if management.bound_backward else []
            for node in chosen:
                if node.op_type == "Read" and node.attributes.get_float("bound", 0.0) > 0.0:
                    _manage(node, management)
                    changed = True
        return ir.passes.PassResult(model, modified=changed)


def _manage(read: ir.Node, management: Management) -> None:
    read.op_type = "BoundedRead"
    read.attributes["max_halvings"] = ir.AttrInt64("max_halvings", management.max_halvings)
    if management.bound_mode == "worst-case":
        assumed = ir.AttrFloat32("assumed_w_max", float(management.assumed_w_max))
        read.attributes["assumed_w_max"] = assumed
