"""What an experiment's runs say: means over epochs and seeds, compared with what is to be reached.

Errors in metrics are fractions; means, deviations and conditions are in percent, as in an
experiment's file. Not for how they look: rpucc.report.experiments.tables.
"""

from __future__ import annotations

import operator
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from rpucc.experiments.configuration import Configuration, fingerprint
from rpucc.experiments.schema import Reach, TrainedRow, Training, TrainingExperiment

Metrics = dict[str, float]
"""What a row of metrics.csv holds, by its headings."""


@dataclass(frozen=True)
class Run:
    """One training: its configuration, its seed, and what every epoch gave so far."""

    configuration: Configuration
    seed: int
    epochs: tuple[Metrics, ...]
    version: str = ""
    """The rpucc that trained it."""
    made_with: Mapping[str, Any] = field(default_factory=dict)
    """The machine and versions that trained it, as run.json has them; empty where nothing says."""

    @cached_property
    def fingerprint(self) -> str:
        """The name of its configuration."""
        return fingerprint(self.configuration)

    def errors(self, epochs: int) -> list[float]:
        """Return the test errors of the first epochs, in percent."""
        return [100 * metrics["test_error"] for metrics in self.epochs[:epochs]]


@dataclass(frozen=True)
class Condition:
    """One thing that a row has to show; `met` is None where a row is missing."""

    text: str
    met: bool | None


@dataclass(frozen=True)
class RowOutcome:
    """The runs of one row."""

    row: TrainedRow
    runs: tuple[Run, ...]
    """All of them by seed, unfinished ones too."""
    finished: tuple[Run, ...]
    """Those whose mean is taken."""
    mean: float | None
    """Mean test error over the window's epochs and the seeds, percent; None without a run."""
    deviation: float | None
    """Sample standard deviation over the same epochs and seeds; None for a single number."""
    seed_means: dict[int, float]
    conditions: tuple[Condition, ...] = ()

    @property
    def reached(self) -> bool | None:
        """Whether all conditions hold; None where that cannot be told, or there are none."""
        met = [condition.met for condition in self.conditions]
        if False in met:
            return False
        return None if not met or None in met else True


@dataclass(frozen=True)
class Outcome:
    """What an experiment gave."""

    experiment: TrainingExperiment
    training: Training
    quick: bool
    rows: tuple[RowOutcome, ...]

    def row(self, name: str) -> RowOutcome:
        """Return a row by its name."""
        return next(each for each in self.rows if each.row.name == name)

    @property
    def reached(self) -> int:
        """How many rows show what they have to."""
        return sum(each.reached is True for each in self.rows)


def outcome(
    experiment: TrainingExperiment,
    training: Training,
    runs: dict[str, tuple[Run, ...]],
    *,
    quick: bool = False,
) -> Outcome:
    """Take means and compare. runs: row -> its runs. A quick version is not judged."""
    rows = [_row(row, training, runs.get(row.name, ())) for row in experiment.row]
    if not quick:
        means = {each.row.name: each.mean for each in rows}
        rows = [replace(each, conditions=tuple(_conditions(each.row, means))) for each in rows]
    return Outcome(experiment, training, quick, tuple(rows))


def _row(row: TrainedRow, training: Training, runs: Iterable[Run]) -> RowOutcome:
    runs = tuple(sorted(runs, key=lambda run: run.seed))
    first, last = training.average
    finished = tuple(run for run in runs if len(run.epochs) >= training.epochs)
    taken = {run.seed: run.errors(last)[first - 1 :] for run in finished}
    values = [error for errors in taken.values() for error in errors]
    return RowOutcome(
        row,
        runs,
        finished,
        mean=statistics.fmean(values) if values else None,
        deviation=statistics.stdev(values) if len(values) > 1 else None,
        seed_means={seed: statistics.fmean(errors) for seed, errors in taken.items()},
    )


def _conditions(row: TrainedRow, means: dict[str, float | None]) -> Iterator[Condition]:
    """Yield each condition of a row in words, and whether it holds."""
    mean, reach = means[row.name], row.reach
    for text, compare, limit in _limits(reach, means):
        known = mean is not None and limit is not None
        yield Condition(text, compare(mean, limit) if known else None)


def _limits(
    reach: Reach, means: dict[str, float | None]
) -> Iterator[tuple[str, Callable[[Any, Any], bool], float | None]]:
    """Yield each condition in words, how the mean is compared, and with what (None: unknown)."""
    if reach.at_most is not None:
        yield f"≤ {reach.at_most:g} %", operator.le, reach.at_most
    if reach.at_least is not None:
        yield f"≥ {reach.at_least:g} %", operator.ge, reach.at_least
    for other, by in reach.below.items():
        yield f"below {other}{_by(by)}", operator.lt, _linear(means[other], 1, -by)
    for other, by in reach.above.items():
        yield f"above {other}{_by(by)}", operator.gt, _linear(means[other], 1, by)
    for other, by in reach.near.items():
        yield f"≤ {other} + {by:g}", operator.le, _linear(means[other], 1, by)
    for other, factor in reach.share.items():
        yield f"≤ {factor:g} × {other}", operator.le, _linear(means[other], factor, 0)


def _linear(mean: float | None, factor: float, points: float) -> float | None:
    return None if mean is None else factor * mean + points


def _by(points: float) -> str:
    return f" by {points:g}" if points else ""
