"""The response curve of a device model as a drawing: each device, their mean, spread and symmetry.

Not for pulsing devices: that is rpucc.runtime.response.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.report import units
from rpucc.report.drawings.pipeline import round_step
from rpucc.report.drawings.svg import Drawing, styled, words
from rpucc.report.markup import Markup, joined, number, tag
from rpucc.report.text.devices import response_label, symmetry_text

if TYPE_CHECKING:
    from rpucc.runtime.response import Response

LEFT, TOP, WIDTH, HEIGHT, RIGHT, BOTTOM = 48.0, 16.0, 640.0, 320.0, 150.0, 36.0
"""Pixels: the plot and what is left for labels around it."""

Values = NDArray[np.float32]

LEGEND = (("backward", "single devices"), ("forward", "mean ± standard deviation"),
          ("update", "symmetry points"))  # fmt: skip


@dataclass(frozen=True)
class _Scales:
    """Where pulses and weights lie in the drawing."""

    pulses: float
    low: float
    high: float

    def x(self, pulses: float) -> float:
        return LEFT + WIDTH * pulses / self.pulses

    def y(self, weight: float) -> float:
        return TOP + HEIGHT * (self.high - weight) / (self.high - self.low)


def response_drawing(name: str, response: Response) -> Drawing:
    """Draw weights against pulses; symmetry points as marks at the right, their mean as a line."""
    scales = _scales(response)
    body = joined(
        *_axes(scales, response.leg),
        *(_curve(scales, response.pulses, weights) for weights in response.weights),
        _band(scales, response),
        _line(scales, response.pulses, response.mean, stroke="#1f4f86", stroke_width=2.5),
        *_symmetry(scales, response),
    )
    label = f"Response of {response_label(name, response)}"
    return Drawing(body, LEFT + WIDTH + RIGHT, TOP + HEIGHT + BOTTOM, label)


def _scales(response: Response) -> _Scales:
    shown = [response.weights.ravel()]
    if response.symmetry is not None:
        shown.append(response.symmetry)
    every = np.concatenate(shown)
    low, high = float(every.min()), float(every.max())
    margin = 0.04 * (high - low) or 1.0
    return _Scales(float(response.pulses[-1]), low - margin, high + margin)


def _axes(scales: _Scales, leg: int) -> Iterator[Markup]:
    """Rules at round weights, the turn, and the numbers of pulses below."""
    step = round_step((scales.high - scales.low) / 6)
    for k in range(math.ceil(scales.low / step), math.floor(scales.high / step) + 1):
        y = scales.y(k * step)
        style = "line" if k == 0 else "rule"
        yield styled("line", style=style, x1=LEFT, x2=LEFT + WIDTH, y1=y, y2=y)
        yield words(LEFT - 6, y + 4, f"{k * step:g}", "muted", text_anchor="end")
    bottom = TOP + HEIGHT
    for stop, anchor in ((0, "start"), (leg, "middle"), (2 * leg, "end")):
        x = scales.x(stop)
        yield styled("line", style="rule", x1=x, x2=x, y1=TOP, y2=bottom)
        yield words(x, bottom + 16, units.count(stop), "muted", text_anchor=anchor)
    for middle, text in ((0.5 * leg, "pulses up"), (1.5 * leg, "pulses down")):
        yield words(scales.x(middle), bottom + 16, text, "muted", text_anchor="middle")
    yield words(LEFT - 6, TOP - 4, "weight", "muted", text_anchor="end")


def _curve(scales: _Scales, pulses: NDArray[np.int64], weights: Values) -> Markup:
    return _line(scales, pulses, weights, stroke="#5f8fbf", stroke_width=0.7, stroke_opacity=0.6)


def _line(
    scales: _Scales, pulses: NDArray[np.int64], weights: Values, **looks: str | float
) -> Markup:
    points = _points((scales.x(p), scales.y(w)) for p, w in zip(pulses, weights, strict=True))
    return tag("polyline", points=points, fill="none", stroke_linejoin="round", **looks)


def _band(scales: _Scales, response: Response) -> Markup:
    """One standard deviation to either side of the mean."""
    upper, lower = response.mean + response.std, response.mean - response.std
    there = [(scales.x(p), scales.y(w)) for p, w in zip(response.pulses, upper, strict=True)]
    back = [(scales.x(p), scales.y(w)) for p, w in zip(response.pulses, lower, strict=True)]
    return styled(
        "polygon", style="forward", points=_points([*there, *back[::-1]]), fill_opacity=0.18
    )


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def _symmetry(scales: _Scales, response: Response) -> Iterator[Markup]:
    """A mark for each device right of the plot, and their mean through it."""
    if response.symmetry is None:
        return
    right, mean = LEFT + WIDTH, scales.y(float(response.symmetry.mean()))
    looks: dict[str, str | float] = {"stroke": "#b45f06", "stroke_width": 1.5}
    for point in response.symmetry:
        y = scales.y(float(point))
        yield tag("line", x1=right + 4, x2=right + 12, y1=y, y2=y, **looks, stroke_opacity=0.7)
    yield tag("line", x1=LEFT, x2=right + 16, y1=mean, y2=mean, **looks, stroke_dasharray="6 4")
    yield words(right + 20, mean - 2, "symmetry point")
    yield words(right + 20, mean + 12, symmetry_text(response))
