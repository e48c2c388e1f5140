"""The table of the problems, and what a toy measures, point by point.

Not for the problems: a module each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from rpucc.errors import ExperimentError, RpuccError
from rpucc.experiments.toy_problems import (
    ConstantGradient,
    LeastSquares,
    MatrixTarget,
    ScalarTarget,
    ZeroShiftCost,
)
from rpucc.runs.toys.constant_gradient import constant_gradient
from rpucc.runs.toys.least_squares import least_squares
from rpucc.runs.toys.matrix_target import matrix_target
from rpucc.runs.toys.scalar_target import scalar_target
from rpucc.runs.toys.zero_shift_cost import zero_shift_cost

if TYPE_CHECKING:
    from rpucc.experiments.toys import ToyExperiment, ToyRow

PROBLEMS: Mapping[type, Callable[[Any, Mapping[str, Any], int], float]] = {
    ZeroShiftCost: zero_shift_cost,
    LeastSquares: least_squares,
    ScalarTarget: scalar_target,
    MatrixTarget: matrix_target,
    ConstantGradient: constant_gradient,
}
"""Kind of problem -> what solves it: with the tables of its arrays and a seed, to one number."""


def measured(
    toy: ToyExperiment[Any], row: ToyRow, seeds: Sequence[int], *, quick: bool
) -> dict[tuple[str, float], list[float]]:
    """Run a row at every value of the axis; ExperimentError, one line, for what cannot be run."""
    found = {}
    for value in toy.values(quick=quick):
        where = f"{toy.name}: row {row.name!r} at {value:g}"
        try:
            point = toy.point(row, value, quick=quick)
            solve = PROBLEMS[type(point.problem)]
            found[row.name, value] = [solve(point.problem, point.tables, seed) for seed in seeds]
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(map(str, first["loc"]))
            raise ExperimentError(f"{where}: problem.{key}: {first['msg']}") from None
        except RpuccError as error:
            raise ExperimentError(*(f"{where}: {line}" for line in error.args)) from None
    return found
