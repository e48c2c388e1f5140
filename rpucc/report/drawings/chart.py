"""Curves against epochs: axes with round ticks, lines, a mark with its number at every epoch.

A chart is as wide as a phone and grows with its place on wider screens. Not for which curves there
are, nor for their legend, which is the page's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from rpucc.report.drawings.pipeline import round_step
from rpucc.report.drawings.svg import (
    CHARACTER,
    KIND_COLOURS,
    Drawing,
    styled,
    words,
)
from rpucc.report.markup import Markup, joined, number, tag

WIDTH, HEIGHT = 360.0, 220.0
TOP, BOTTOM, RIGHT, GAP = 12.0, 34.0, 10.0, 6.0
"""Pixels around the plot; what is left of it are its longest label and the gap."""
MARKS = 40
"""Marks a curve: of more epochs every second, third, … has one, and none is drawn."""
LABEL = 1.25
"""How much wider than usual text is a label of digits at most."""
LOGARITHMIC = 8.0
"""Curves whose largest value is so many times the least are drawn on a logarithmic axis."""
DASHES = (None, "6 3", "2 2")

Format = Callable[[float], str]


@dataclass(frozen=True)
class Curve:
    """Values against epochs; what is not finite is a gap."""

    label: str
    points: Sequence[tuple[float, float]]
    look: int
    """Colour and dashes: those of the first six are drawn through, those of the next dashed."""


@dataclass(frozen=True)
class Axis:
    """Values of a chart's upright axis, from the bottom up."""

    low: float
    high: float
    ticks: tuple[float, ...]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Return how far up a value lies: 0 at the bottom, 1 at the top."""
        if self.logarithmic:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def axis(values: Sequence[float]) -> Axis:
    """Return an axis with round ends around values, logarithmic where they span a lot.

    >>> axis([0.02, 0.16]).ticks
    (0.02, 0.05, 0.1, 0.2)
    >>> axis([3.0, 0.0]).ticks
    (0.0, 1.0, 2.0, 3.0)
    """
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    if low > 0 and high >= LOGARITHMIC * low:
        return _logarithmic(low, high)
    if 0 <= low < 0.7 * high or low == high:
        low = min(low, 0.0)
    high = max(high, 0.0) if low < 0 else high
    step = round_step((high - low or abs(high) or 1.0) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    last = max(last, first + 1)
    ticks = tuple(k * step for k in range(first, last + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def _logarithmic(low: float, high: float) -> Axis:
    steps = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    every = [float(f"{m}e{k}") for k in steps for m in (1, 2, 5)]
    low = max(tick for tick in every if tick <= low * 1.000001)
    high = min(tick for tick in every if tick >= high * 0.999999)
    ticks = [tick for tick in every if low <= tick <= high]
    if len(ticks) > 6:
        decades = [tick for tick in ticks if f"{tick:e}".startswith("1.")]
        ticks = decades[:: 1 + len(decades) // 7]
    return Axis(low, high, tuple(ticks), logarithmic=True)


def epoch_ticks(epochs: int) -> list[int]:
    """Return the first epoch and round ones up to the last.

    >>> epoch_ticks(30)
    [1, 5, 10, 15, 20, 25, 30]
    """
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, epochs) if epochs <= 8 * s)
    return [1, *range(max(step, 2), epochs + 1, step)]


def look(index: int) -> tuple[str, str | None]:
    """Return style and dashes of curve `index`."""
    turn, colour = divmod(index, len(KIND_COLOURS))
    return f"curve{colour}", DASHES[turn % len(DASHES)]


def mark_style(index: int) -> str:
    """Return the style of what is filled with the colour of curve `index`."""
    return f"kind{index % len(KIND_COLOURS)}"


def chart(label: str, curves: Sequence[Curve], shown: Format, *, first: int = 1) -> Drawing:
    """Draw curves; `shown` writes a value, on the axis and where the pointer rests.

    first: the epoch at the left edge.
    """
    every = [point for curve in curves for point in curve.points]
    last = max((math.ceil(x) for x, _ in every), default=1)
    values = axis([y for _, y in every])
    labels = [shown(tick) for tick in values.ticks]
    left = LABEL * CHARACTER * max(map(len, labels)) + GAP
    frame = _Frame(left, first, max(last, first), values)
    body = joined(
        *_rules(frame, labels),
        *_epochs(frame),
        *(part for curve in curves for part in _curve(frame, curve, shown)),
    )
    return Drawing(body, WIDTH, HEIGHT, label)


@dataclass(frozen=True)
class _Frame:
    """Where epochs and values lie in the drawing."""

    left: float
    first: int
    last: int
    values: Axis

    def x(self, epoch: float) -> float:
        room = WIDTH - RIGHT - self.left
        if self.last == self.first:
            return self.left + room / 2
        return self.left + room * (epoch - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * self.values.share(value)


def _rules(frame: _Frame, labels: Sequence[str]) -> Iterator[Markup]:
    for tick, text in zip(frame.values.ticks, labels, strict=True):
        y = frame.y(tick)
        yield styled("line", style="rule", x1=frame.left, x2=WIDTH - RIGHT, y1=y, y2=y)
        yield words(frame.left - GAP, y + 4, text, "muted", text_anchor="end")


def _epochs(frame: _Frame) -> Iterator[Markup]:
    bottom = HEIGHT - BOTTOM
    room = max(len(str(frame.last)), 1) * CHARACTER + 8
    drawn = -math.inf
    for epoch in [*([0] if frame.first == 0 else []), *epoch_ticks(frame.last)]:
        x = frame.x(epoch)
        if x - drawn >= room:
            drawn = x
            yield words(x, bottom + 14, str(epoch), "muted", text_anchor="middle")
    middle = (frame.left + WIDTH - RIGHT) / 2
    yield words(middle, HEIGHT - 4, "epoch", "muted", text_anchor="middle")


def _curve(frame: _Frame, curve: Curve, shown: Format) -> Iterator[Markup]:
    style, dashes = look(curve.look)
    for run in _runs(curve.points):
        if len(run) > 1:
            at = " ".join(f"{number(frame.x(x))},{number(frame.y(y))}" for x, y in run)
            yield styled("polyline", style=style, points=at, stroke_dasharray=dashes)
    finite = [(x, y) for x, y in curve.points if math.isfinite(y)]
    every = 1 + len(finite) // MARKS
    for i, (x, y) in enumerate(finite):
        if (len(finite) - 1 - i) % every == 0:
            title = tag("title", f"{curve.label}, epoch {x:g}: {shown(y)}")
            place = {"cx": frame.x(x), "cy": frame.y(y)}
            place |= {"r": 5.0, "fill_opacity": 0.0} if every > 1 else {"r": 2.6}
            yield styled("circle", title, style=mark_style(curve.look), **place)


def _runs(points: Sequence[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    """Yield what is drawn in one line: values that no gap parts."""
    run: list[tuple[float, float]] = []
    for x, y in points:
        if math.isfinite(y):
            run.append((x, y))
        elif run:
            yield run
            run = []
    if run:
        yield run


SPARK_WIDTH, SPARK_HEIGHT = 84.0, 18.0


def spark(curve: Curve, shown: Format) -> Drawing:
    """Draw a curve alone, as high as a line of text, from zero to its largest value."""
    finite = [(x, y) for x, y in curve.points if math.isfinite(y)]
    most = max((y for _, y in finite), default=0.0) or 1.0
    first, last = (finite[0][0], finite[-1][0]) if finite else (0.0, 1.0)
    span = (last - first) or 1.0
    places = [
        (2 + (SPARK_WIDTH - 4) * (x - first) / span, 2 + (SPARK_HEIGHT - 4) * (1 - y / most))
        for x, y in finite
    ]
    style, _ = look(curve.look)
    body = [
        styled(
            "polyline", style=style, points=" ".join(f"{number(x)},{number(y)}" for x, y in places)
        )
    ]
    if places:
        x, y = places[-1]
        body.append(styled("circle", style=mark_style(curve.look), cx=x, cy=y, r=1.8))
    label = f"{curve.label}: {', '.join(shown(y) for _, y in finite[:: max(1, len(finite) // 8)])}"
    return Drawing(joined(*body), SPARK_WIDTH, SPARK_HEIGHT, label)
