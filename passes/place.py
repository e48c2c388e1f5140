"""Number the tiles.

Not for the cuts (`tile`) nor for times (`schedule`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import AnalogLayer, analog_layers, segments
from rpucc.passes.base import RpuPass

MOST_TILES = 1 << 24
"""Tile ids have 24 bits in the address of a random draw (runtime/kernels/philox.py)."""


@dataclass(frozen=True)
class Place(RpuPass):
    """Number the tiles of each grid, through the layers in forward order.

    Requires: tiled Reads. Leaves behind: `first_tile` on every Read and Update, the same in all
    three cycles of a matrix. The tiles of a layer follow it, row-major over [group, row block,
    column segment]; they address the random draws. Which physical arrays they lie on is not
    stored: it follows from the grids and the target.

        before: Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401]
        after:  Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401] first_tile=1
    """

    name: ClassVar[str] = "place"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Read and Update; too many tiles to number raise UnsupportedError."""
        layers = analog_layers(model)
        first = 0
        for layer in layers:
            for node in layer.nodes:
                node.attributes["first_tile"] = ir.AttrInt64("first_tile", first)
            first += tile_count(layer)
            if first > MOST_TILES:
                raise UnsupportedError(
                    f"layer {layer.name!r}: the network needs more than {MOST_TILES:,} tiles up to "
                    f"here, {tile_count(layer):,} for this layer alone; use larger arrays"
                )
        return ir.passes.PassResult(model, modified=bool(layers))


def tile_count(layer: AnalogLayer) -> int:
    """Return how many tiles a layer's matrices are cut into."""
    attributes = layer.forward[0].attributes
    row_cuts = tuple(attributes.get_ints("row_cuts", ()))
    col_cuts = tuple(attributes.get_ints("col_cuts", ()))
    return layer.groups * segments(row_cuts) * segments(col_cuts)
