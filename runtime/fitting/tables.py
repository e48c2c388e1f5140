"""Models whose steps follow a table over the range: of means, and of means and noise."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from rpucc.runtime.fitting.curves import Floats
from rpucc.runtime.fitting.lines import STEP, ConstantStep, steps
from rpucc.runtime.fitting.models import FitModel, Parameter, Sketch

ROWS = 7
"""Of a table, equally far apart from bound to bound; the middle one of means is 1."""
MIDDLE = ROWS // 2
TOLD = 1.0
"""Standard error of a row from which on the curves say nothing of it: it is as its neighbour."""
LEAST_SPREAD = 0.02
"""Of noise, in units of a step: at 0 a likelihood does not change with it."""


def _names(column: str, *, middle: bool) -> tuple[str, ...]:
    return tuple(f"{column} {k}" for k in range(ROWS) if middle or k != MIDDLE)


class PiecewiseStep(FitModel):
    """Steps follow a table from bound to bound, linear between its rows; the middle one is 1."""

    name = "piecewise-step"
    own = ConstantStep.own
    shared = (*_names("up", middle=False), *_names("down", middle=False))
    keys = STEP
    bounds_prior = 0.03

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """+ a+ f+(w), - a- f-(w)."""
        part = min(max((w - p[1]) / max(p[0] - p[1], 1e-12) * 6.0, 0.0), 6.0)
        k = min(int(part), 5)
        base = 4 if direction > 0 else 10
        first = 1.0 if k == 3 else p[base + k - (1 if k > 3 else 0)]
        second = 1.0 if k == 2 else p[base + k + 1 - (1 if k > 2 else 0)]
        factor = first + (part - k) * (second - first)
        return p[2] * factor if direction > 0 else -p[3] * factor

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """Straight lines."""
        own, factors = [], []
        places = np.delete(np.linspace(0, 1, ROWS), MIDDLE)
        for s in sketches:
            middle, at = (s.upper + s.lower) / 2, s.lower + places * s.width
            row, lines = [s.upper, s.lower], []
            for step, slope in ((s.up, s.up_slope), (s.down, s.down_slope)):
                size = max(step + slope * middle, 0.1 * s.step)
                row.append(size)
                lines.append(np.clip((step + slope * at) / size, 0.05, 20))
            own.append(row)
            factors.append(np.concatenate(lines))
        return [(np.array(own), np.median(np.array(factors), axis=0))]

    @classmethod
    def limits(cls, shared: Floats) -> tuple[Floats, Floats]:
        """No step leads back."""
        return np.zeros(len(cls.shared)), np.full(len(cls.shared), np.inf)

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step in the middle of the range, asymmetry, bounds."""
        return steps(own[0], own[1], own[2], own[3])

    @classmethod
    def keyed(cls, found: list[Parameter]) -> list[Parameter]:
        """The columns as lists."""
        rest = [each for each in found if each.key not in cls.shared]
        return [*rest, *cls.columns({each.key: each for each in found})]

    @classmethod
    def columns(cls, by: dict[str, Parameter]) -> Iterator[Parameter]:
        """Yield the columns of the table. by: the shared parameters."""
        for way in ("up", "down"):
            yield column(f"nodes_{way}", [by.get(each) for each in _names(way, middle=True)])


class TableStep(PiecewiseStep):
    """The same, and noise that follows a table, too."""

    name = "table-step"
    shared = (
        *PiecewiseStep.shared,
        *_names("noise up", middle=True),
        *_names("noise down", middle=True),
    )
    noise_in_steps = False

    @staticmethod
    def noisy(w: float, direction: float, step: float, p: Any) -> Any:
        """a+ g+(w), a- g-(w)."""
        part = min(max((w - p[1]) / max(p[0] - p[1], 1e-12) * 6.0, 0.0), 6.0)
        k = min(int(part), 5)
        base = (16 if direction > 0 else 23) + k
        return (p[2] if direction > 0 else p[3]) * (p[base] + (part - k) * (p[base + 1] - p[base]))

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """Noise that is half of every step."""
        found = []
        for own, shared in super().starts(sketches):
            noise = [0.5 * np.insert(each, MIDDLE, 1.0) for each in np.split(shared, 2)]
            found.append((own, np.concatenate([shared, *noise])))
        return found

    @classmethod
    def limits(cls, shared: Floats) -> tuple[Floats, Floats]:
        """No step leads back, none is without noise."""
        low, high = super().limits(shared)
        low[len(PiecewiseStep.shared) :] = LEAST_SPREAD
        return low, high

    @classmethod
    def columns(cls, by: dict[str, Parameter]) -> Iterator[Parameter]:
        """Yield means, then noise."""
        yield from super().columns(by)
        for way in ("up", "down"):
            names = _names(f"noise {way}", middle=True)
            yield column(f"spreads_{way}", [by.get(each) for each in names])


def column(key: str, rows: list[Parameter | None]) -> Parameter:
    """Return a column of a table; the row that is None is 1, those that nothing tells as the next.

    Where nothing tells any of them all are as the one that is known best.

    >>> column("nodes_up", [Parameter("", 3.0, 10.0), Parameter("", 2.0, 0.1), None]).value
    (2.0, 2.0, 1.0)
    """
    values = np.array([1.0 if row is None else row.value for row in rows])
    errors = np.array([0.0 if row is None else row.error for row in rows])
    told = np.flatnonzero(errors < TOLD)
    if len(told) == 0:
        told = np.argmin(errors, keepdims=True)
    nearest = told[np.abs(np.arange(len(rows))[:, None] - told).argmin(axis=1)]
    shown = (f"{error:.2g}" if error < TOLD else "not told: as the next" for error in errors)
    return Parameter(
        key,
        tuple(map(float, values[nearest])),
        math.nan,
        f"standard errors {', '.join(shown)}",
        tuple(map(float, np.where(errors < TOLD, errors, np.inf))),
    )
