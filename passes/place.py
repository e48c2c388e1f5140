"""Give every tile a physical array.

Not for the cuts (`tile`) nor for times (`schedule`). One tile an array for now: no graph
algorithm is needed until tiles share arrays.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from rpucc.layers import analog_layers, segments
from rpucc.passes.base import RpuPass


@dataclass(frozen=True)
class Place(RpuPass):
    """Number the arrays of each grid, one tile an array.

    Requires: tiled Reads. Leaves behind: `arrays` on every Read and Update, the ids row-major
    over [row block, column segment], the same in all three cycles of a matrix. Ids count up
    through the layers in forward order and are unique in the program.

        before: Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401]
        after:  Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401] arrays=[1, 2]
    """

    name: ClassVar[str] = "place"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Read and Update."""
        layers = analog_layers(model)
        first = 0
        for layer in layers:
            read = layer.forward[0]
            row_cuts = tuple(read.attributes.get_ints("row_cuts", ()))
            col_cuts = tuple(read.attributes.get_ints("col_cuts", ()))
            count = segments(row_cuts) * segments(col_cuts)
            for node in layer.nodes:
                node.attributes["arrays"] = ir.AttrInt64s("arrays", range(first, first + count))
            first += count
        return ir.passes.PassResult(model, modified=bool(layers))
