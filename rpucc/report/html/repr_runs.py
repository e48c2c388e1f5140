"""How epochs, a run and several runs show themselves in a notebook: a table and curves.

No scripts and no style sheet: a notebook may take either away. Not for the pages of `rpucc report`
and `rpucc compare`, which have more (rpucc.report.runs).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.chart import Curve, chart, mark_style
from rpucc.report.html.repr_html import beside
from rpucc.report.markup import Markup, joined, tag
from rpucc.report.runs.comparison import HEADINGS, results
from rpucc.report.runs.curves import PARTS, points
from rpucc.report.runs.run_report import History
from rpucc.report.text.training import epoch_cells

if TYPE_CHECKING:
    from rpucc.report.runs.comparison import ComparedRun, Comparison
    from rpucc.runtime.metrics import EpochMetrics

MOST_EPOCHS = 20
"""Rows of the table of epochs: the last ones."""
EPOCH_HEADINGS = (
    *("epoch", "train loss", "train error", "test error", "pulses a weight", "saturated reads"),
    *("re-reads", "samples a second", "time"),
)


def epochs_html(epochs: Sequence[EpochMetrics]) -> str:
    """Return epochs as HTML: a row each, curves of error and loss."""
    if not epochs:
        return tag("p", "no epoch is complete")
    shown = epochs[-MOST_EPOCHS:]
    before = len(epochs) - len(shown)
    rows = [_cells("td", epoch_cells(each, epochs[-1].epoch)) for each in shown]
    more = tag("p", f"{units.counted(before, 'epoch')} before these") if before else None
    table = tag("table", _cells("th", EPOCH_HEADINGS), *rows)
    return joined(table, more, beside(_curves(History("", tuple(epochs), ()))))


def run_html(run: ComparedRun) -> str:
    """Return a run as HTML: how it went, its settings, curves of error and loss."""
    settings = [
        tag("tr", tag("th", key, scope="row"), tag("td", value))
        for key, value in run.settings.items()
    ]
    name = tag("p", tag("b", units.plain(run.history.name)))
    return joined(name, _results([run]), tag("table", *settings), beside(_curves(run.history)))


def comparison_html(comparison: Comparison) -> str:
    """Return runs as HTML: in what they differ, how each went, curves over each other."""
    rows = [_cells("td", (each.about, each.key, *each.values)) for each in comparison.differences]
    table = tag("table", _cells("th", ("", "differs", *comparison.names)), *rows) if rows else None
    runs = comparison.runs
    looks = [(mark_style(i), units.plain(run.history.name)) for i, run in enumerate(runs)]
    drawings = []
    for title, _, test, _, shown in PARTS:
        curves = [Curve(r.history.name, points(r.history, test), i) for i, r in enumerate(runs)]
        if _any(curves):
            drawings.append(chart(f"Test {title.lower()}", curves, shown).file(looks, header=False))
    return joined(table, _results(runs), beside(drawings))


def _results(runs: Sequence[ComparedRun]) -> Markup:
    rows = [_cells("td", row) for row in results(runs)]
    return tag("table", _cells("th", HEADINGS), *rows)


def _curves(history: History) -> Iterator[Markup]:
    names = ("training part", "test part", "validation samples")
    held = any(each.validation_loss is not None for each in history.metrics)
    parts = [Curve(name, (), look) for name, look in zip(names, (1, 0, 2), strict=True)]
    parts = parts if held else parts[:2]
    looks = [(mark_style(each.look), each.label) for each in parts]
    for title, *values, shown in PARTS:
        curves = [
            Curve(p.label, points(history, v), p.look) for p, v in zip(parts, values, strict=False)
        ]
        if _any(curves):
            yield chart(title, curves, shown).file(looks, header=False)


def _any(curves: Sequence[Curve]) -> bool:
    return any(math.isfinite(y) for curve in curves for _, y in curve.points)


def _cells(kind: str, texts: Sequence[str]) -> Markup:
    return tag("tr", *(tag(kind, units.plain(text)) for text in texts))
