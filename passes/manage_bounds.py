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
from rpucc.stamps import bounds_stamp, set_attributes

if TYPE_CHECKING:
    from rpucc.target import Target


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
            policy = self.target.for_layer(layer.name)
            for node in (*layer.forward, *layer.backward):
                stamp = bounds_stamp(policy, node)
                if stamp is not None and node.op_type == "Read":
                    node.op_type = "BoundedRead"
                    set_attributes(node, stamp)
                    changed = True
        return ir.passes.PassResult(model, modified=changed)
