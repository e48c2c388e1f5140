"""The curves of one run or of several: error, loss, rate, pulses and reads, epoch by epoch.

Not for the axes: those are drawings/chart.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.chart import Curve, Format, chart, look
from rpucc.report.drawings.svg import fit, styled
from rpucc.report.markup import Markup, tag
from rpucc.report.runs.run_report import History

if TYPE_CHECKING:
    from rpucc.runtime.metrics import EpochMetrics

Value = Callable[["EpochMetrics"], float | None]


def percent(value: float) -> str:
    """Return a part as the axis of a chart writes it: 20 %, 0.05 %."""
    return f"{100 * value:.3g} %"


def plain(value: float) -> str:
    """Return a number as the axis of a chart writes it: 0.02, 1.5e-6, 20,000."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def figure(title: str, drawing_of: Sequence[Curve], shown: Format, *, first: int = 1) -> Markup:
    """Return a chart under its title."""
    drawing = chart(title, drawing_of, shown, first=first)
    return tag("figure", tag("figcaption", tag("b", title)), drawing.scaled())


def legend_of(curves: Sequence[Curve]) -> Markup:
    """Return what the looks of curves mean."""
    items = []
    for curve in curves:
        style, dashes = look(curve.look)
        line = styled("line", style=style, x1=0, x2=22, y1=5, y2=5, stroke_dasharray=dashes)
        sample = tag("svg", line, width=22, height=10, aria_hidden="true")
        items.append(tag("li", sample, fit(units.plain(curve.label), 300)))
    return tag("ul", *items, class_="legend lines")


def points(history: History, value: Value) -> list[tuple[float, float]]:
    """Return (epoch, value) of every epoch; nan where there is none."""
    found = []
    for each in history.metrics:
        number = value(each)
        found.append((float(each.epoch), math.nan if number is None else float(number)))
    return found


PARTS: tuple[tuple[str, Value, Value, Value, Format], ...] = (
    (
        "Error",
        lambda m: m.train_error,
        lambda m: m.test_error,
        lambda m: m.validation_error,
        percent,
    ),
    ("Loss", lambda m: m.train_loss, lambda m: m.test_loss, lambda m: m.validation_loss, plain),
)
"""Title, of the training part, of the test part, of validation samples, how it is written."""

SINGLE: tuple[tuple[str, Value, Format], ...] = (
    ("Learning rate", lambda m: m.lr, plain),
    ("Pulses a weight", lambda m: m.pulses_per_weight, plain),
    ("Saturated reads", lambda m: m.saturated_reads / max(m.reads, 1), percent),
    ("Re-reads", lambda m: m.rereads / max(m.reads, 1), percent),
)
"""The same of what has no parts."""


WHILE = "Loss while it trains"


def of_one_run(history: History) -> Markup:
    """Return all charts of a run."""
    train, test = Curve("training part", (), 1), Curve("test part", (), 0)
    held = [Curve("validation samples", (), 2)] if _validated(history) else []
    charts = []
    for title, of_train, of_test, of_held, shown in PARTS:
        parts = [(of_train, train), (of_test, test), *((of_held, curve) for curve in held)]
        curves = [Curve(p.label, points(history, value), p.look) for value, p in parts]
        if _any(curves):
            charts.append(figure(title, curves, shown))
    if history.steps:
        curve = Curve("training loss", history.steps, 1)
        charts.append(figure(WHILE, [curve], plain, first=0))
    charts += [figure(title, [curve], shown) for title, curve, shown in _singles(history)]
    return tag("div", legend_of([test, *held, train]), tag("div", *charts, class_="charts"))


def _validated(history: History) -> bool:
    return any(each.validation_loss is not None for each in history.metrics)


def _singles(history: History) -> Iterator[tuple[str, Curve, Format]]:
    for title, value, shown in SINGLE:
        curve = Curve(title.lower(), points(history, value), 0)
        if any(y for _, y in curve.points if math.isfinite(y)):
            yield title, curve, shown


def of_several_runs(histories: Sequence[History]) -> Markup:
    """Return the charts of runs over each other, a colour a run."""
    each = [(f"Test {title.lower()}", test, shown) for title, _, test, _, shown in PARTS]
    each += [(f"Validation {title.lower()}", held, shown) for title, _, _, held, shown in PARTS]
    each += [(f"Training {title.lower()}", train, shown) for title, train, _, _, shown in PARTS]
    each += SINGLE
    charts = []
    for title, value, shown in each:
        curves = [Curve(h.name, points(h, value), i) for i, h in enumerate(histories)]
        if _any(curves) and any(y for curve in curves for _, y in curve.points):
            charts.append(figure(title, curves, shown))
    running = [Curve(h.name, h.steps, i) for i, h in enumerate(histories) if h.steps]
    if running:
        charts.append(figure(WHILE, running, plain, first=0))
    names = [Curve(history.name, (), i) for i, history in enumerate(histories)]
    return tag("div", legend_of(names), tag("div", *charts, class_="charts"))


def _any(curves: Sequence[Curve]) -> bool:
    return any(math.isfinite(y) for curve in curves for _, y in curve.points)
