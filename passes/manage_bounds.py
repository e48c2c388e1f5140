"""Bound management (BM): a read that saturates is repeated with a halved input.

Source: Gokmen, Onen & Haensch 2017 (arXiv 1705.08014). Not for noise management.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.layers import analog_layers
from rpucc.passes.base import RpuPass

if TYPE_CHECKING:
    from rpucc.target import Target


@dataclass(frozen=True)
class ManageBounds(RpuPass):
    """Turn Reads into BoundedReads in the cycles that the target names.

    Requires: tiled Reads with their periphery. A Read without a bound (0) cannot saturate and
    stays. Leaves behind: BoundedRead with the Read's name, inputs, outputs and attributes, and
    max_halvings.

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
                    halvings = ir.AttrInt64("max_halvings", management.max_halvings)
                    node.op_type = "BoundedRead"
                    node.attributes["max_halvings"] = halvings
                    changed = True
        return ir.passes.PassResult(model, modified=changed)
