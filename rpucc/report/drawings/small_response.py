"""The response of a kind of device in the size of a phone: devices, their mean, its band.

The larger one with numbers and symmetry points is devices.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from rpucc.report import units
from rpucc.report.drawings.chart import GAP, LABEL, Axis, axis
from rpucc.report.drawings.svg import CHARACTER, Drawing, styled, words
from rpucc.report.markup import Markup, joined, number

if TYPE_CHECKING:
    from rpucc.runtime.response import Response

WIDTH, HEIGHT, TOP, BOTTOM, RIGHT = 360.0, 190.0, 10.0, 20.0, 10.0

LEGEND = (
    ("kind0", "single devices"),
    ("update", "their mean"),
    ("forward", "one standard deviation to either side"),
)


def small_response(label: str, response: Response) -> Drawing:
    """Draw weights against pulses up, then as many down."""
    values = axis([float(response.weights.min()), float(response.weights.max())])
    labels = [f"{tick:g}" for tick in values.ticks]
    frame = _Frame(LABEL * CHARACTER * max(map(len, labels)) + GAP, response.pulses, values)
    mean, std = response.mean, response.std
    band = [*frame.points(mean + std), *frame.points(mean - std)[::-1]]
    body = joined(
        *_axes(frame, labels, response.leg),
        *(
            styled("polyline", style="curve0", points=_text(frame.points(weights)),
                   stroke_width=0.6, stroke_opacity=0.45)
            for weights in response.weights
        ),
        styled("polygon", style="forward", points=_text(band), fill_opacity=0.18),
        styled("polyline", style="curve1", points=_text(frame.points(mean)), stroke_width=2),
    )  # fmt: skip
    return Drawing(body, WIDTH, HEIGHT, label)


class _Frame:
    """Where pulses and weights lie."""

    def __init__(self, left: float, pulses: np.ndarray, values: Axis) -> None:
        self.left, self.values = left, values
        self.places = left + (WIDTH - RIGHT - left) * pulses / pulses[-1]

    def y(self, weight: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * self.values.share(weight)

    def points(self, weights: np.ndarray) -> list[tuple[float, float]]:
        return [(float(x), self.y(float(w))) for x, w in zip(self.places, weights, strict=True)]


def _axes(frame: _Frame, labels: list[str], leg: int) -> Iterator[Markup]:
    for tick, text in zip(frame.values.ticks, labels, strict=True):
        y = frame.y(tick)
        yield styled("line", style="rule", x1=frame.left, x2=WIDTH - RIGHT, y1=y, y2=y)
        yield words(frame.left - GAP, y + 4, text, "muted", text_anchor="end")
    middle, bottom = (frame.left + WIDTH - RIGHT) / 2, HEIGHT - 5
    yield styled("line", style="rule", x1=middle, x2=middle, y1=TOP, y2=HEIGHT - BOTTOM)
    yield words((frame.left + middle) / 2, bottom, f"{units.count(leg)} pulses up", "muted",
                text_anchor="middle")  # fmt: skip
    yield words((middle + WIDTH) / 2, bottom, "as many down", "muted", text_anchor="middle")


def _text(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)
