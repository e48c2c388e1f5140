"""What a toy measured against the values of its axis, a line a row: one SVG file.

Both axes are logarithmic where what they show spans much and is above 0. What is expected of a row
are open circles. Not for means: rpucc.experiments.toy_outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.report.drawings.chart import Axis, axis
from rpucc.report.drawings.svg import Drawing, fit, styled, words
from rpucc.report.experiments.plot import (
    BOTTOM,
    HEIGHT,
    LEGEND,
    LEGEND_ROW,
    TOP,
    WIDTH,
    line_look,
)
from rpucc.report.markup import Markup, joined, number, tag

if TYPE_CHECKING:
    from rpucc.experiments.toy_outcome import ToyOutcome, ToyRowOutcome

LEFT = 60.0
ROOM = 12.0
"""Pixels between the frame and the first and last point."""


def toy_drawing(outcome: ToyOutcome) -> Drawing:
    """Draw the rows that were run."""
    toy, rows = outcome.experiment, outcome.run
    shown = [*outcome.values]
    across = axis(shown)
    up = axis([mean for each in rows for mean in (*each.means, *_expected(each, outcome))])
    body = joined(
        *_frame(across, up, shown, toy.axis.label, toy.measured),
        *(part for i, each in enumerate(rows) for part in _row(i, each, outcome, across, up)),
        *_legend(rows),
    )
    height = max(HEIGHT, TOP + LEGEND_ROW * len(rows))
    return Drawing(body, WIDTH + LEGEND, height, f"{toy.title}: {toy.measured}")


def _expected(each: ToyRowOutcome, outcome: ToyOutcome) -> tuple[float, ...]:
    """What is expected at the values that were run; none of a reduced version with others."""
    whole = outcome.values == outcome.experiment.axis.values
    return each.row.expected if whole else ()


def _x(across: Axis, value: float) -> float:
    return LEFT + ROOM + (WIDTH - LEFT - 2 * ROOM) * across.share(value)


def _y(up: Axis, value: float) -> float:
    return TOP + (HEIGHT - BOTTOM - TOP) * (1 - up.share(value))


def _frame(
    across: Axis, up: Axis, values: Sequence[float], label: str, measured: str
) -> Iterator[Markup]:
    bottom = HEIGHT - BOTTOM
    for tick in up.ticks:
        y = _y(up, tick)
        yield styled("line", style="rule", x1=LEFT, x2=WIDTH, y1=y, y2=y)
        yield words(LEFT - 6, y + 4, f"{tick:.4g}", "muted", text_anchor="end")
    for value in values:
        yield words(_x(across, value), bottom + 16, f"{value:g}", "muted", text_anchor="middle")
    yield styled("line", style="line", x1=LEFT, x2=WIDTH, y1=bottom, y2=bottom)
    middle = (LEFT + WIDTH) / 2
    yield words(middle, bottom + 33, f"{measured}, by {label}", "muted", text_anchor="middle")


def _row(
    index: int, each: ToyRowOutcome, outcome: ToyOutcome, across: Axis, up: Axis
) -> Iterator[Markup]:
    look = line_look(index)
    at = [(_x(across, v), _y(up, m)) for v, m in zip(outcome.values, each.means, strict=True)]
    points = " ".join(f"{number(x)},{number(y)}" for x, y in at)
    yield tag("polyline", points=points, fill="none", stroke_width=1.6, **look)
    for (x, y), value, mean in zip(at, outcome.values, each.means, strict=True):
        title = tag("title", f"{each.row.label}, {value:g}: {mean:.4g}")
        yield tag("circle", title, cx=x, cy=y, r=3, fill=look["stroke"])
    for value, wanted in zip(outcome.values, _expected(each, outcome), strict=False):
        place = {"cx": _x(across, value), "cy": _y(up, wanted)}
        yield tag("circle", r=6, fill="none", stroke=look["stroke"], **place)


def _legend(rows: Sequence[ToyRowOutcome]) -> Iterator[Markup]:
    for i, each in enumerate(rows):
        x, y = WIDTH + 16, TOP + LEGEND_ROW * i + 10
        yield tag("line", x1=x, x2=x + 22, y1=y, y2=y, stroke_width=2, **line_look(i))
        yield words(x + 28, y + 4, fit(each.row.label, LEGEND - 50))
