"""What an ablation found: how much error each cause takes, from the errors of its rows.

Errors are in percent, differences in percentage points. Not for which causes a target has nor for
training (rpucc.runs.ablation), nor for tables and pictures (rpucc.report.experiments.ablation).
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

ALL, NONE = "all", "none"
"""The rows with all causes and without any."""


@dataclass(frozen=True)
class Figure:
    """A number that several seeds gave."""

    by_seed: dict[int, float]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return statistics.fmean(self.by_seed.values())

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds; None for one."""
        return statistics.stdev(self.by_seed.values()) if len(self.by_seed) > 1 else None

    def less(self, other: Figure) -> Figure | None:
        """Return the difference, seed by seed: a seed has the same devices and order of samples.

        None where they have no seed in common.
        """
        both = sorted(self.by_seed.keys() & other.by_seed.keys())
        less = {seed: self.by_seed[seed] - other.by_seed[seed] for seed in both}
        return Figure(less) if less else None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return {"mean": self.mean, "spread": self.spread, "by_seed": self.by_seed}


@dataclass(frozen=True)
class RowPlan:
    """One configuration of an ablation."""

    name: str
    label: str
    removed: frozenset[str] = frozenset()
    """The causes that it is without."""
    layers: tuple[str, ...] = ()
    """The patterns of the layers that lose them; all layers for none."""


@dataclass(frozen=True)
class Compared:
    """A cause, and the rows that say what it takes."""

    name: str
    label: str
    without: str
    """The row without it."""
    alone: str = ""
    """The row with it alone; "" where there is none."""
    base: str = NONE
    """What that is compared with: the row with what it needs, or without anything."""
    together: bool = False
    """Whether it is several causes of the list together."""


@dataclass(frozen=True)
class Effect:
    """What one cause takes."""

    name: str
    label: str
    without: Figure | None
    """The error without it, all others being there."""
    takes: Figure | None
    """How much error goes away with it."""
    alone: Figure | None
    """The error with it alone, and with what it needs."""
    adds: Figure | None
    """How much error it makes, alone."""
    needs: str
    """The cause that it comes with where it is alone; "" for none."""
    together: bool
    overrides: tuple[str, ...]
    """What takes it away, as for `--set`."""


@dataclass(frozen=True)
class Ablation:
    """How much error each cause takes: the one that takes most is first."""

    target: str
    model: str
    data: str
    kind: str
    """ "training", or "reads" of weights as they are."""
    epochs: int
    """0 of reads."""
    average: tuple[int, int]
    """The first and the last epoch over which errors are averaged."""
    overrides: tuple[str, ...]
    """Of the target, in every row."""
    everything: Figure | None
    """The error with all causes."""
    nothing: Figure | None
    """The error without any."""
    effects: tuple[Effect, ...]

    @property
    def complete(self) -> bool:
        """Whether every row has an error."""
        rows = [self.everything, self.nothing, *(e.without for e in self.effects)]
        rows += [e.alone for e in self.effects if not e.together]
        return None not in rows

    @property
    def causes(self) -> tuple[Effect, ...]:
        """Those that are one cause."""
        return tuple(each for each in self.effects if not each.together)

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON; errors in percent."""
        about = {key: value for key, value in asdict(self).items() if key in _ABOUT}
        figures = {"all": _dict(self.everything), "none": _dict(self.nothing)}
        return {**about, **figures, "causes": [_effect(each) for each in self.effects]}


_ABOUT = ("target", "model", "data", "kind", "epochs", "average", "overrides")
_FIGURES = ("without", "takes", "alone", "adds")


def _dict(figure: Figure | None) -> dict[str, Any] | None:
    return None if figure is None else figure.to_dict()


def _effect(each: Effect) -> dict[str, Any]:
    figures = {key: _dict(getattr(each, key)) for key in _FIGURES}
    return {
        "name": each.name,
        "label": each.label,
        **figures,
        "needs": each.needs,
        "together": each.together,
        "overrides": list(each.overrides),
    }


def effects_of(
    compared: Mapping[str, Compared],
    errors: Mapping[str, Figure],
    overrides: Mapping[str, tuple[str, ...]],
) -> tuple[Effect, ...]:
    """Compare rows; errors: row -> its error; overrides: row -> what makes it.

    The cause that takes most is first; of equal ones the one that adds most.
    """
    found = [_compare(each, errors, overrides) for each in compared.values()]
    return tuple(sorted(found, key=_order))


def _order(each: Effect) -> tuple[bool, float, float]:
    def size(figure: Figure | None) -> float:
        return -figure.mean if figure is not None else 0.0

    return each.together, size(each.takes), size(each.adds)


def _compare(
    each: Compared, errors: Mapping[str, Figure], overrides: Mapping[str, tuple[str, ...]]
) -> Effect:
    without, alone = errors.get(each.without), errors.get(each.alone)
    everything, base = errors.get(ALL), errors.get(each.base)
    return Effect(
        name=each.name,
        label=each.label,
        without=without,
        takes=everything.less(without) if everything and without else None,
        alone=alone,
        adds=alone.less(base) if alone and base else None,
        needs="" if each.base == NONE else each.base.removeprefix("only-"),
        together=each.together,
        overrides=overrides.get(each.without, ()),
    )
