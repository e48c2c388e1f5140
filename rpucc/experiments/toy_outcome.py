"""What the rows of a toy gave: means over seeds, compared with what is to be reached.

Not for how they look: rpucc.report.experiments.toy_page.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rpucc.experiments.outcome import Condition
from rpucc.experiments.toys import ToyExperiment, ToyRow
from rpucc.report.csv import table_csv

Values = Mapping[tuple[str, float], Sequence[float]]
"""Row and value of the axis -> what every seed measured."""


@dataclass(frozen=True)
class ToyRowOutcome:
    """The numbers of one row; empty where it was not run."""

    row: ToyRow
    measured: tuple[tuple[float, ...], ...]
    """By value of the axis and by seed."""
    conditions: tuple[Condition, ...] = ()

    @property
    def means(self) -> tuple[float, ...]:
        """Over seeds, one a value of the axis."""
        return tuple(statistics.fmean(each) for each in self.measured)

    @property
    def deviations(self) -> tuple[float, ...]:
        """The sample standard deviations over seeds, 0 of a single one."""
        return tuple(statistics.stdev(each) if len(each) > 1 else 0.0 for each in self.measured)

    @property
    def reached(self) -> bool | None:
        """Whether all conditions hold; None where that cannot be told, or there are none."""
        met = [condition.met for condition in self.conditions]
        if False in met:
            return False
        return None if not met or None in met else True


@dataclass(frozen=True)
class ToyOutcome:
    """What a toy gave."""

    experiment: ToyExperiment[Any]
    quick: bool
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    rows: tuple[ToyRowOutcome, ...]

    @property
    def run(self) -> list[ToyRowOutcome]:
        """The rows that were run."""
        return [each for each in self.rows if each.measured]


def toy_outcome(
    experiment: ToyExperiment[Any], found: Values, seeds: tuple[int, ...], *, quick: bool
) -> ToyOutcome:
    """Compare; a quick version is not judged, nor is a row that was not run."""
    values = experiment.values(quick=quick)
    measured = {
        row.name: tuple(tuple(found[row.name, value]) for value in values)
        for row in experiment.row
        if (row.name, values[0]) in found
    }
    means = {name: [statistics.fmean(each) for each in row] for name, row in measured.items()}
    rows = []
    for row in experiment.row:
        judged = row.name in measured and not quick
        conditions = tuple(_conditions(row, values, means)) if judged else ()
        rows.append(ToyRowOutcome(row, measured.get(row.name, ()), conditions))
    return ToyOutcome(experiment, quick, seeds, values, tuple(rows))


def _conditions(
    row: ToyRow, values: Sequence[float], means: Mapping[str, Sequence[float]]
) -> Iterator[Condition]:
    """Yield each condition of a row in words, and whether it holds."""
    own, reach = means[row.name], row.reach
    pairs = list(zip(own, row.expected, strict=bool(row.expected)))
    if reach.factor is not None:
        near = all(1 / reach.factor <= mean / wanted <= reach.factor for mean, wanted in pairs)
        yield Condition(f"within a factor {reach.factor:g}", near)
    if reach.within is not None:
        near = all(abs(mean - wanted) <= reach.within for mean, wanted in pairs)
        yield Condition(f"± {reach.within:g}", near)
    if reach.slope is not None:
        near = abs(slope(values, own) - reach.slope) <= reach.slope_within
        yield Condition(f"slope {reach.slope:g} ± {reach.slope_within:g}", near)
    for other, factor in reach.below.items():
        known = means.get(other)
        met = None
        if known is not None:
            met = all(a < factor * b for a, b in zip(own, known, strict=True))
        yield Condition(f"below {_times(factor)}{other}", met)


def _times(factor: float) -> str:
    return "" if factor == 1 else f"{factor:g} × "


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Return the slope of log y against log x, by least squares; nan where one is not above 0.

    >>> round(slope([1, 10, 100], [5, 0.5, 0.05]), 6)
    -1.0
    """
    if len(x) < 2 or min(*x, *y) <= 0:
        return math.nan
    fit = statistics.linear_regression([math.log(a) for a in x], [math.log(b) for b in y])
    return fit.slope


def toy_results(outcome: ToyOutcome) -> dict[str, Any]:
    """Return what results.json holds of a toy."""
    return {
        "experiment": outcome.experiment.name,
        "quick": outcome.quick,
        "figures": outcome.experiment.figures,
        "seeds": list(outcome.seeds),
        "values": list(outcome.values),
        "rows": [
            {
                "name": each.row.name,
                "label": each.row.label,
                "means": list(each.means),
                "expected": list(each.row.expected),
                "conditions": [{"text": c.text, "met": c.met} for c in each.conditions],
                "reached": each.reached,
            }
            for each in outcome.rows
        ],
    }


def values_csv(outcome: ToyOutcome) -> str:
    """Return every number: row, value of the axis, seed."""
    rows = [
        [each.row.name, value, seed, number]
        for each in outcome.run
        for value, numbers in zip(outcome.values, each.measured, strict=True)
        for seed, number in zip(outcome.seeds, numbers, strict=True)
    ]
    return table_csv(["row", "value", "seed", "measured"], rows)
