"""Test error against epochs, a line a row, as papers draw it: one SVG file without a library.

The error axis is logarithmic: 0.8 % and 90 % are on one picture. A line is the mean over seeds, its
band goes from the least to the largest. Not for means over epochs: rpucc.experiments.outcome.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.report.drawings.svg import Drawing, fit, styled, words
from rpucc.report.markup import Markup, joined, number, tag

if TYPE_CHECKING:
    from rpucc.experiments.outcome import Outcome, RowOutcome

WIDTH, HEIGHT = 560.0, 340.0
LEFT, BOTTOM, TOP = 46.0, 40.0, 8.0
LEGEND = 260.0
LEGEND_ROW = 20.0
COLOURS = ("#1b1f24", "#2b6cb0", "#b45f06", "#0f766e", "#7048a8", "#b03a6f", "#6b7218", "#c2410c")
"""Rows in the order of the plot; after the last, the lines are dashed and begin again."""
DASHES = (None, "6 3", "2 2")
TICKS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
"""Percent. Errors below the first, zero among them, are drawn on it."""


@dataclass(frozen=True)
class _Line:
    """The error of one row after every epoch, percent: least, mean and largest over its seeds."""

    label: str
    low: list[float]
    mean: list[float]
    high: list[float]

    @classmethod
    def of(cls, each: RowOutcome, epochs: int) -> _Line:
        runs = [run.errors(epochs) for run in each.runs]
        longest = max(map(len, runs), default=0)
        at = [[run[i] for run in runs if i < len(run)] for i in range(longest)]
        means = [statistics.fmean(errors) for errors in at]
        return cls(each.row.label, list(map(min, at)), means, list(map(max, at)))


@dataclass(frozen=True)
class _Axes:
    """Epochs and errors in percent to pixels."""

    epochs: int
    low: float
    high: float

    @classmethod
    def around(cls, lines: Sequence[_Line], epochs: int) -> _Axes:
        """Choose the ticks around all errors; two of them where there is no error."""
        least = min((min(line.low) for line in lines), default=1.0)
        most = max((max(line.high) for line in lines), default=10.0)
        low = max((tick for tick in TICKS[:-1] if tick <= least), default=TICKS[0])
        high = min((tick for tick in TICKS if tick >= most and tick > low), default=TICKS[-1])
        return cls(epochs, low, high)

    def x(self, epoch: float) -> float:
        return LEFT + (WIDTH - LEFT) * (epoch - 1) / max(self.epochs - 1, 1)

    def y(self, error: float) -> float:
        share = math.log(max(error, self.low) / self.low) / math.log(self.high / self.low)
        return TOP + (HEIGHT - BOTTOM - TOP) * (1 - share)

    def points(self, errors: Sequence[float], first: int = 1) -> list[str]:
        """Return "x,y" of the errors after epoch `first` and those that follow."""
        return [
            f"{number(self.x(first + i))},{number(self.y(error))}" for i, error in enumerate(errors)
        ]


def error_drawing(outcome: Outcome) -> Drawing:
    """Draw the rows that the experiment plots; rows without a finished epoch are left out."""
    names = outcome.experiment.plot or [each.row.name for each in outcome.rows]
    epochs = outcome.training.epochs
    lines = [_Line.of(outcome.row(name), epochs) for name in names]
    looks = {line.label: line_look(i) for i, line in enumerate(lines)}
    lines = [line for line in lines if line.mean]
    axes = _Axes.around(lines, epochs)
    body = joined(
        *_frame(axes, outcome.training.average),
        *(_band(line, axes, looks[line.label]) for line in lines),
        *(_curve(line, axes, looks[line.label]) for line in lines),
        *_legend(lines, looks),
    )
    height = max(HEIGHT, TOP + LEGEND_ROW * len(lines))
    label = f"{outcome.experiment.title}: test error after every epoch"
    return Drawing(body, WIDTH + LEGEND, height, label)


def line_look(index: int) -> dict[str, str | None]:
    """Return stroke and dashes of the plot's row `index`: the same whatever rows are there."""
    turn, colour = divmod(index, len(COLOURS))
    return {"stroke": COLOURS[colour], "stroke_dasharray": DASHES[turn % len(DASHES)]}


def _frame(axes: _Axes, window: tuple[int, int]) -> Iterator[Markup]:
    """Yield the axes, and the epochs that means are taken over in grey."""
    bottom = HEIGHT - BOTTOM
    half = 0.5 if axes.epochs > 1 else 0.0
    left, right = (axes.x(max(1.0, window[0] - half)), axes.x(min(axes.epochs, window[1] + half)))
    yield styled(
        "rect", style="array", x=left, y=TOP, width=right - left, height=bottom - TOP, opacity=0.5
    )
    for tick in TICKS:
        if axes.low <= tick <= axes.high:
            y = axes.y(tick)
            yield styled("line", style="rule", x1=LEFT, x2=WIDTH, y1=y, y2=y)
            yield words(LEFT - 6, y + 4, f"{tick:g} %", "muted", text_anchor="end")
    for epoch in _epoch_ticks(axes.epochs):
        yield words(axes.x(epoch), bottom + 16, str(epoch), "muted", text_anchor="middle")
    yield styled("line", style="line", x1=LEFT, x2=WIDTH, y1=bottom, y2=bottom)
    yield words((LEFT + WIDTH) / 2, bottom + 33, "epoch", "muted", text_anchor="middle")


def _epoch_ticks(epochs: int) -> list[int]:
    """Return the first epoch and round ones up to the last.

    >>> _epoch_ticks(30)
    [1, 5, 10, 15, 20, 25, 30]
    """
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, epochs) if epochs <= 8 * s)
    return [1, *range(max(step, 2), epochs + 1, step)]


def _band(line: _Line, axes: _Axes, look: dict[str, str | None]) -> Markup | None:
    if line.low == line.high:
        return None
    edge = [*axes.points(line.high), *reversed(axes.points(line.low))]
    return tag("polygon", points=" ".join(edge), fill=look["stroke"], opacity=0.15)


def _curve(line: _Line, axes: _Axes, look: dict[str, str | None]) -> Markup:
    title = tag("title", f"{line.label}: {line.mean[-1]:.2f} % after {len(line.mean)} epochs")
    if len(line.mean) == 1:
        x, y = axes.x(1), axes.y(line.mean[0])
        return tag("circle", title, cx=x, cy=y, r=3, fill=look["stroke"])
    points = " ".join(axes.points(line.mean))
    return tag("polyline", title, points=points, fill="none", stroke_width=1.6, **look)


def _legend(lines: Sequence[_Line], looks: dict[str, dict[str, str | None]]) -> Iterator[Markup]:
    """Yield a stroke and a label for each line."""
    for i, line in enumerate(lines):
        y = TOP + LEGEND_ROW * i + 10
        x = WIDTH + 16
        yield tag("line", x1=x, x2=x + 22, y1=y, y2=y, stroke_width=2, **looks[line.label])
        yield words(x + 28, y + 4, fit(line.label, LEGEND - 50))
