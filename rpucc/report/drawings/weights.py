"""Where the weights of a layer lie between the bounds of its devices: then, in between, now.

Each histogram is drawn to its own height, as a density. Not for counting: rpucc.runtime.histogram.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.pipeline import round_step
from rpucc.report.drawings.svg import Drawing, styled, words
from rpucc.report.markup import Markup, joined, number, tag

if TYPE_CHECKING:
    from rpucc.runtime.histogram import Histogram

WIDTH, HEIGHT = 320.0, 150.0
SIDE, TOP, BOTTOM = 8.0, 6.0, 20.0
SPAN = 8.0
"""Times the weights' span that a drawing holds at most: bounds that lie farther are left out."""
STEEPEST = 4.0
"""Times the height of the weights now up to which those before are drawn."""
LEGEND = (
    ("kind0", "now"),
    ("curve1", "at the start"),
    ("curve2", "after the first epoch and halfway"),
    ("array", "bounds of its devices"),
)
"""Style and meaning of what is drawn."""


@dataclass(frozen=True)
class _Frame:
    low: float
    high: float
    most: float
    """The largest density, of weights."""

    def x(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        return SIDE + (WIDTH - 2 * SIDE) * (inside - self.low) / (self.high - self.low)

    def y(self, density: float, most: float) -> float:
        """By the root, which shows a few weights far out beside many near zero."""
        share = math.sqrt(density / most) if most else 0.0
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * min(share, 1.0)


def weights_drawing(
    label: str,
    now: Histogram,
    start: Histogram | None = None,
    between: Sequence[Histogram] = (),
    bounds: Sequence[Histogram] = (),
) -> Drawing:
    """Draw weights now (filled), before, and the bounds of devices, low and high, behind them."""
    frame = _frame(now, [*([start] if start else []), *between], bounds)
    parts = [*_axis(frame)]
    highest = max((_density(bound) for bound in bounds), default=0.0)
    parts += [_area(frame, bound, highest, "array", "bounds") for bound in bounds]
    parts.append(_area(frame, now, frame.most, "kind0", "now", fill_opacity=0.45))
    for each in between:
        parts.append(_outline(frame, each, "curve2", "in between", stroke_width=0.9))
    if start is not None:
        parts.append(_outline(frame, start, "curve1", "at the start", stroke_width=1.3))
    return Drawing(joined(*parts), WIDTH, HEIGHT, label)


def asymmetry_drawing(label: str, asymmetry: Histogram) -> Drawing:
    """Draw how up and down steps differ from device to device, on an axis that holds zero."""
    span = max(abs(asymmetry.low), abs(asymmetry.high), 1e-6)
    frame = _Frame(-span, span, _density(asymmetry))
    area = _area(frame, asymmetry, frame.most, "update", "devices", fill_opacity=0.7)
    return Drawing(joined(*_axis(frame, percent=True), area), WIDTH, HEIGHT, label)


def _frame(now: Histogram, others: Sequence[Histogram], bounds: Sequence[Histogram]) -> _Frame:
    """Around all weights and, where they are not far off, all bounds but the farthest."""
    weights = [now, *others]
    low, high = min(each.low for each in weights), max(each.high for each in weights)
    far = SPAN * (high - low)
    ends = [_quantile(each, part) for each in bounds for part in (0.02, 0.98)]
    near = [end for end in ends if high - far < end < low + far]
    low, high = min([low, *near]), max([high, *near])
    margin = 0.02 * (high - low) or 1e-3
    most = min(max(map(_density, weights)), STEEPEST * _density(now))
    return _Frame(low - margin, high + margin, most)


def _quantile(found: Histogram, part: float) -> float:
    wanted, seen = part * found.total, 0
    for i, count in enumerate(found.counts):
        seen += count
        if seen >= wanted:
            return found.low + (i + part) * found.step
    return found.high


def _density(found: Histogram) -> float:
    """The largest share of values per unit of width."""
    return max(found.counts) / (found.total * found.step) if found.total else 0.0


def _corners(frame: _Frame, found: Histogram, most: float) -> Iterator[tuple[float, float]]:
    bottom = HEIGHT - BOTTOM
    yield frame.x(found.low), bottom
    for i, count in enumerate(found.counts):
        y = frame.y(count / (found.total * found.step) if found.total else 0.0, most)
        yield frame.x(found.low + i * found.step), y
        yield frame.x(found.low + (i + 1) * found.step), y
    yield frame.x(found.high), bottom


def _area(
    frame: _Frame, found: Histogram, most: float, style: str, what: str, **more: float
) -> Markup:
    title = tag("title", _title(found, what))
    points = _points(_corners(frame, found, most))
    return styled("polygon", title, style=style, points=points, **more)


def _outline(frame: _Frame, found: Histogram, style: str, what: str, **more: float) -> Markup:
    title = tag("title", _title(found, what))
    points = _points(_corners(frame, found, frame.most))
    return styled("polyline", title, style=style, points=points, **more)


def _title(found: Histogram, what: str) -> str:
    return f"{what}: {found.low:.3g} to {found.high:.3g}, {units.count(found.total)}"


def _points(places: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{number(x)},{number(y)}" for x, y in places)


def _axis(frame: _Frame, *, percent: bool = False) -> Iterator[Markup]:
    bottom = HEIGHT - BOTTOM
    yield styled("line", style="rule", x1=SIDE, x2=WIDTH - SIDE, y1=bottom, y2=bottom)
    step = round_step((frame.high - frame.low) / 5)
    for k in range(math.ceil(frame.low / step), math.floor(frame.high / step) + 1):
        x, value = frame.x(k * step), k * step
        style = "line" if k == 0 else "rule"
        yield styled("line", style=style, x1=x, x2=x, y1=TOP, y2=bottom + 3)
        text = f"{100 * value:.3g} %" if percent else f"{value:.3g}"
        yield words(min(max(x, 14), WIDTH - 14), HEIGHT - 4, text, "muted", text_anchor="middle")
