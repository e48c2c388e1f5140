"""Number the tiles, and hold that there are arrays for them.

Not for the cuts (`tile`) nor for times (`schedule`), nor for how tiles are packed
(`rpucc.placement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import InfeasibleError, TargetError, UnsupportedError
from rpucc.layers import MOST_TILES, analog_layers
from rpucc.passes.base import RpuPass
from rpucc.passes.remedies import find_remedies
from rpucc.placement import place
from rpucc.placement.budget import layer_needs, shortages
from rpucc.placement.infeasible import Infeasible
from rpucc.placement.program import grids_of

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class Place(RpuPass):
    """Number the tiles of each grid, through the layers in forward order.

    Requires: tiled Reads. Leaves behind: `first_tile` on every Read and Update, the same in all
    three cycles of a matrix. The tiles of a layer follow it, row-major over [group, row block,
    column segment], plane by plane where its cell has several; they address the random draws. Which
    physical arrays they lie on is not stored: it follows from the grids and the target. The tiles
    fit the arrays that the target has, and layer rules that name arrays can be followed.

        before: Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401]
        after:  Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401] first_tile=1
    """

    target: Target

    name: ClassVar[str] = "place"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Read and Update.

        Raises UnsupportedError where there are more tiles than numbers, InfeasibleError where the
        target has too few arrays, TargetError where a layer rule names arrays that cannot hold its
        layer.
        """
        check_arrays(model, self.target)
        layers = analog_layers(model)
        first = 0
        for layer, grid in zip(layers, grids_of(model, self.target), strict=True):
            for node in layer.nodes:
                node.attributes["first_tile"] = ir.AttrInt64("first_tile", first)
            tiles = layer.tiles * len(grid.planes)
            first += tiles
            if first > MOST_TILES:
                raise UnsupportedError(
                    f"layer {layer.name!r}: the network needs more than {MOST_TILES:,} tiles up to "
                    f"here, {tiles:,} for this layer alone; use larger arrays"
                )
        return ir.passes.PassResult(model, modified=bool(layers))


def check_arrays(model: ir.Model, target: Target) -> None:
    """Hold that a tiled program fits the arrays that there are; raises as `Place.call` does."""
    grids, kinds, share = grids_of(model, target), target.arrays, target.placement.share
    try:
        placement = place(grids, kinds, share=share)
    except TargetError as error:
        raise TargetError(f"target {target.name}: {error}") from None
    short = shortages(placement.arrays, kinds)
    if short:
        remedies = find_remedies(grids, kinds, share=share)
        report = Infeasible(target.name, short, layer_needs(placement), remedies)
        raise InfeasibleError(report.summary(), report)
