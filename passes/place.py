"""Give every tile a physical array.

Not for the cuts (`tile`) nor for times (`schedule`), nor for how tiles are packed
(`rpucc.placement`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import onnx_ir as ir

from rpucc.errors import InfeasibleError, TargetError
from rpucc.layers import analog_layers, segments
from rpucc.passes.base import RpuPass
from rpucc.passes.levers import find_levers
from rpucc.placement import place
from rpucc.placement.budget import Infeasible, layer_needs, shortages
from rpucc.placement.program import grids_of

if TYPE_CHECKING:
    from rpucc.target import Target


@dataclass(frozen=True)
class Place(RpuPass):
    """Number the arrays of each grid, one tile an array.

    Requires: tiled Reads. Leaves behind: `arrays` on every Read and Update, the ids row-major
    over [row block, column segment], the same in all three cycles of a matrix. Ids count up
    through the layers in forward order and are unique in the program. The tiles fit the arrays
    that the target has, and layer rules that name arrays can be followed.

        before: Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401]
        after:  Read(x, W) row_cuts=[0, 32] col_cuts=[0, 201, 401] arrays=[1, 2]
    """

    target: Target

    name: ClassVar[str] = "place"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Stamp every Read and Update.

        Raises InfeasibleError where the target has too few arrays, TargetError where a layer rule
        names arrays that cannot hold its layer.
        """
        check_arrays(model, self.target)
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


def check_arrays(model: ir.Model, target: Target) -> None:
    """Hold that a tiled program fits the arrays that there are; raises as `Place.call` does."""
    grids, kinds, share = grids_of(model, target), target.arrays, target.placement.share
    try:
        placement = place(grids, kinds, share=share)
    except TargetError as error:
        raise TargetError(f"target {target.name}: {error}") from None
    short = shortages(placement.arrays, kinds)
    if short:
        levers = find_levers(grids, kinds, share=share)
        report = Infeasible(target.name, short, layer_needs(placement), levers)
        raise InfeasibleError(report.summary(), report)
