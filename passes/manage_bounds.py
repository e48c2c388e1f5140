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
from rpucc.stamps import is_to_be_bounded, set_attributes, stamp_of

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class ManageBounds(RpuPass):
    """Turn Reads into BoundedReads in the cycles that the target names.

    Requires: tiled Reads with their periphery. A Read without a bound (0) cannot saturate and
    stays. Leaves behind: BoundedRead with the Read's name, inputs, outputs and attributes, and
    max_halvings and assumed_w_max; that is 0 but in the worst-case mode.

        before: part = Read(x, W) bound=12
        after:  part = BoundedRead(x, W) bound=12 max_halvings=10 assumed_w_max=0
    """

    target: Target

    name: ClassVar[str] = "manage_bounds"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Change the op of every Read that is to be managed."""
        changed = False
        for layer in analog_layers(model):
            policy = self.target.for_layer(layer.name)
            for node in layer.reads:
                if node.op_type == "Read" and is_to_be_bounded(policy, node):
                    node.op_type = "BoundedRead"
                    set_attributes(node, stamp_of(policy, node))
                    changed = True
        return ir.passes.PassResult(model, modified=changed)
