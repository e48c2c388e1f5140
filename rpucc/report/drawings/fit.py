"""Data against model: curves with mean and band of both, and steps against the weight.

Not for simulating the model: that is rpucc.runtime.fitting.simulated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from rpucc.report import units
from rpucc.report.drawings.pipeline import round_step
from rpucc.report.drawings.svg import Drawing, styled, words
from rpucc.report.markup import Markup, joined, number, tag

if TYPE_CHECKING:
    from rpucc.runtime.fitting.curves import Floats
    from rpucc.runtime.fitting.residuals import Bin
    from rpucc.runtime.fitting.simulated import Sample

TOP, HEIGHT, BOTTOM = 16.0, 320.0, 36.0
CURVES, STEPS = (48.0, 620.0), (760.0, 320.0)
"""Left edge and width of both plots, in pixels."""
DRAWN = 60
"""Single devices that are drawn, at most."""

LEGEND = (("backward", "measured devices"), ("forward", "their mean ± standard deviation"),
          ("update", "the model's"))  # fmt: skip


@dataclass(frozen=True)
class _Frame:
    """Where values lie in a plot."""

    left: float
    width: float
    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return self.left + self.width * (value - self.x_low) / (self.x_high - self.x_low)

    def y(self, value: float) -> float:
        return TOP + HEIGHT * (self.y_high - value) / (self.y_high - self.y_low)


def fit_drawing(name: str, data: Sample, model: Sample, bins: Sequence[Bin]) -> Drawing:
    """Draw what was measured and what the model does; bins: its steps against the weight."""
    body = joined(*_curves(data, model), *_steps(bins))
    width = STEPS[0] + STEPS[1] + 16
    count = units.counted(len(data.weights), "device")
    return Drawing(body, width, TOP + HEIGHT + BOTTOM, f"{name}: {count} and the model of them")


def _curves(data: Sample, model: Sample) -> Iterator[Markup]:
    every = np.concatenate([data.weights[np.isfinite(data.weights)], model.weights.ravel()])
    low, high = _span(every)
    frame = _Frame(*CURVES, 0.0, float(max(data.pulses[-1], model.pulses[-1], 1)), low, high)
    yield from _rules(frame, "weight")
    yield from _below(frame, [0, round(frame.x_high / 2), round(frame.x_high)], units.count)
    yield words(frame.left + frame.width / 4, TOP + HEIGHT + 16, "pulses", "muted")
    for weights in data.weights[:DRAWN]:
        yield from _lines(
            frame, data.pulses, weights, stroke="#5f8fbf", stroke_width=0.7, stroke_opacity=0.6
        )
    for sample, style, colour, dashes in (
        (data, "forward", "#1f4f86", None),
        (model, "update", "#b45f06", "6 4"),
    ):
        if len(sample.weights) > 1:
            yield _band(frame, sample, style)
        yield from _lines(
            frame, sample.pulses, sample.mean, stroke=colour, stroke_width=2.2,
            stroke_dasharray=dashes,
        )  # fmt: skip


def _steps(bins: Sequence[Bin]) -> Iterator[Markup]:
    """Mean steps in bins of the weight: as measured, with their errors, and of the model."""
    sizes = [b.expected for b in bins]
    sizes += [b.measured + side * b.error for b in bins for side in (-1, 1)]
    low, high = _span(np.array([*sizes, 0.0]))
    ends = _span(np.array([b.low for b in bins] + [b.high for b in bins]))
    frame = _Frame(*STEPS, *ends, low, high)
    yield from _rules(frame, "size of a step")
    step = round_step((ends[1] - ends[0]) / 4)
    ticks = [k * step for k in range(math.ceil(ends[0] / step), math.floor(ends[1] / step) + 1)]
    yield from _below(frame, ticks, lambda value: f"{value:g}")
    yield words(frame.left + frame.width / 2, TOP + HEIGHT + 32, "weight", "muted",
                text_anchor="middle")  # fmt: skip
    for direction, text in ((1, "up"), (-1, "down")):
        here = [b for b in bins if b.direction == direction]
        if not here:
            continue
        x, dashes = np.array([b.middle for b in here]), "6 4" if direction > 0 else "2 3"
        y = np.array([b.expected for b in here])
        yield from _lines(frame, x, y, stroke="#b45f06", stroke_width=2, stroke_dasharray=dashes)
        for each in here:
            at, size = frame.x(each.middle), each.measured
            ends_y = (frame.y(size - each.error), frame.y(size + each.error))
            yield tag("line", x1=at, x2=at, y1=ends_y[0], y2=ends_y[1], stroke="#1f4f86")
            fill = "#1f4f86" if direction > 0 else "#ffffff"
            yield tag("circle", cx=at, cy=frame.y(size), r=3.5, fill=fill, stroke="#1f4f86")
        last = here[-1] if direction > 0 else here[0]
        anchor = "end" if direction > 0 else "start"
        yield words(frame.x(last.middle), frame.y(last.measured) - 8, text,
                    text_anchor=anchor)  # fmt: skip


def _span(values: Floats) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.04 * (high - low) or 1.0
    return low - margin, high + margin


def _rules(frame: _Frame, title: str) -> Iterator[Markup]:
    """Lines at round values with their numbers."""
    step = round_step((frame.y_high - frame.y_low) / 6)
    right = frame.left + frame.width
    for k in range(math.ceil(frame.y_low / step), math.floor(frame.y_high / step) + 1):
        y = frame.y(k * step)
        style = "line" if k == 0 else "rule"
        yield styled("line", style=style, x1=frame.left, x2=right, y1=y, y2=y)
        yield words(frame.left - 6, y + 4, f"{k * step:g}", "muted", text_anchor="end")
    yield words(frame.left - 6, TOP - 4, title, "muted", text_anchor="start")


def _below(frame: _Frame, ticks: Sequence[float], shown: Callable[[Any], str]) -> Iterator[Markup]:
    for tick in ticks:
        x = frame.x(tick)
        yield styled("line", style="rule", x1=x, x2=x, y1=TOP, y2=TOP + HEIGHT)
        yield words(x, TOP + HEIGHT + 16, shown(tick), "muted", text_anchor="middle")


def _lines(
    frame: _Frame, x: np.ndarray, y: Floats, **looks: str | float | None
) -> Iterator[Markup]:
    """Yield lines through the points that are known, in one where none is missing between."""
    known = np.flatnonzero(np.isfinite(y))
    places = [(frame.x(float(x[i])), frame.y(float(y[i]))) for i in known]
    yield tag("polyline", points=_points(places), fill="none", stroke_linejoin="round", **looks)


def _band(frame: _Frame, sample: Sample, style: str) -> Markup:
    """One standard deviation to either side of the mean."""
    mean, std, x = sample.mean, sample.std, sample.pulses
    known = np.flatnonzero(np.isfinite(mean))
    there = [(frame.x(float(x[i])), frame.y(float(mean[i] + std[i]))) for i in known]
    back = [(frame.x(float(x[i])), frame.y(float(mean[i] - std[i]))) for i in known[::-1]]
    return styled("polygon", style=style, points=_points([*there, *back]), fill_opacity=0.16)


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)
