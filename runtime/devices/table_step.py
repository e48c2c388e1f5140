"""The table-step device: mean and noise of a step by a table over the range, as measured."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from rpucc.errors import TargetError
from rpucc.runtime.devices.piecewise_step import PiecewiseStep, f32, i32, u32
from rpucc.runtime.devices.shaped_step import LEAST_RANGE, ONE, ZERO, ShapedStep
from rpucc.target.values import ParameterValue

SECTIONS = 256
"""Equal parts of the range that a table is taken at whose states are not equally far apart."""


class TableStep(PiecewiseStep):
    """Δw+ = a+ (f+(w) + std g+(w) ξ), Δw- = -a- (f-(w) + std g-(w) ξ), clipped.

    f: mean steps, g: noise from pulse to pulse, in rows of a table over the range of a device from
    its lower to its upper bound, linear between; a± as for `ConstantStep`. The rows lie at
    `states`, in any unit: the first is w_min, the last w_max. Of two states the rows are equally
    far apart. Rows that are not are taken at SECTIONS equal steps. For devices that no formula
    describes: `rpucc devices fit --model table` writes such tables. Otherwise as
    `PiecewiseStep` (Rasch et al. 2021, arXiv 2104.02184), whose noise is the same part of every
    step.
    """

    name = "table-step"
    summary = "mean and noise of a step by a table over the range, as measured"
    source = "measurements; means as in Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **PiecewiseStep.defaults,
        "states": (0.0, 1.0),
        "spreads_up": (1.0,),
        "spreads_down": (1.0,),
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **PiecewiseStep.ranges,
        "states": (-1e12, 1e12),
        "spreads_up": (0.0, 1e6),
        "spreads_down": (0.0, 1e6),
    }
    meanings: ClassVar[dict[str, str]] = {
        **PiecewiseStep.meanings,
        "dw_min": "step that the table is in units of",
        "dw_min_std": "noise from pulse to pulse that the spreads are in units of (times dw_min)",
        "nodes_up": "mean up steps at the states, in units of dw_min",
        "nodes_down": "mean down steps there",
        "spreads_up": "noise of up steps there, in units of dw_min_std (times dw_min)",
        "spreads_down": "noise of down steps there",
        "states": "where the rows lie, increasing, in any unit: from w_min (the first) to w_max "
        "(the last); two: equally far apart",
    }

    def __init__(self, **parameters: ParameterValue) -> None:
        ShapedStep.__init__(self, **parameters)
        problems = [*self._problems()]
        if problems:
            raise TargetError(*problems)

    def _problems(self) -> Iterator[str]:
        states, rows = self.parameters["states"], self._rows
        for before, after in pairwise(states):
            if not after > before:
                yield (
                    f"device.states: device '{self.name}' takes states that increase; found "
                    f"{after:g} after {before:g}"
                )
        if len(states) < 2:
            yield f"device.states: device '{self.name}' takes two or more; found one"
        elif len(states) > 2 and len(states) != rows:
            yield (
                f"device.states: device '{self.name}' takes a state for each row (or the first "
                f"and the last); found {len(states)} for {rows} rows"
            )
        for key in _COLUMNS:
            if len(self.parameters[key]) not in (1, rows):
                yield (
                    f"device.{key}: device '{self.name}' takes as many rows as the other columns, "
                    f"or one number; found {len(self.parameters[key])} and {rows}"
                )

    @property
    def _rows(self) -> int:
        return max(2, *(len(self.parameters[key]) for key in _COLUMNS))

    def _column(self, key: str) -> tuple[float, ...]:
        """A column of the table at states that are equally far apart."""
        states, rows = self.parameters["states"], self._rows
        column = np.broadcast_to(np.asarray(self.parameters[key]), rows)
        places = np.asarray(states if len(states) > 2 else np.linspace(states[0], states[-1], rows))
        places = (places - places[0]) / (places[-1] - places[0])
        if not np.allclose(places, np.linspace(0, 1, rows), rtol=0, atol=1e-6):
            column = np.interp(np.linspace(0, 1, SECTIONS + 1), places, column)
        return tuple(map(float, column))

    def _nodes(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The mean steps up and down."""
        return self._column("nodes_up"), self._column("nodes_down")

    def table_values(self) -> tuple[float, ...]:
        """All steps up, then all down, then the noise of both likewise."""
        return sum((self._column(key) for key in _COLUMNS), ())

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        dw_down: float,
        w_max: float,
        w_min: float,
        dw_min_std: float,
        sections: float,
        table: Any,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        part = (w - w_min) / max(w_max - w_min, LEAST_RANGE) * sections
        part = min(max(part, ZERO), sections)
        section, rows = min(i32(part), i32(sections - ONE)), i32(sections + ONE)
        beyond = part - f32(section)
        place = u32(section if direction > 0 else section + rows)
        first, second = table[place], table[u32(place + u32(1))]
        mean = first + beyond * (second - first)
        place = u32(place + u32(rows) + u32(rows))
        first, second = table[place], table[u32(place + u32(1))]
        spread = dw_min_std * (first + beyond * (second - first))
        dw = direction * (dw_up if direction > 0 else dw_down) * (mean + spread * noise)
        moved: float = min(max(w + dw, w_min), w_max)
        return moved


_COLUMNS = ("nodes_up", "nodes_down", "spreads_up", "spreads_down")
