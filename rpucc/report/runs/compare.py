"""Put the page of several runs together: differences first, then results, then curves.

Not for the page of one run: that is page.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.report import units
from rpucc.report.html.document import bar, document
from rpucc.report.html.parts import breakable, scrolling, section, table
from rpucc.report.markup import Markup, tag
from rpucc.report.runs.comparison import HEADINGS, Comparison, results
from rpucc.report.runs.configuration import command
from rpucc.report.runs.curves import of_several_runs
from rpucc.report.runs.page import STYLES

CONTENTS = (
    ("differences", "Differences"),
    ("results", "Results"),
    ("curves", "Curves"),
    ("commands", "Commands"),
)
"""Anchor and title of each section."""


def page(comparison: Comparison) -> str:
    """Return the whole document as text."""
    names = ", ".join(comparison.names)
    title = f"{units.counted(len(comparison.runs), 'training')} compared"
    head = tag("header", tag("h1", title), tag("p", f"In the order given: {names}.", class_="lead"))
    return document(
        f"{title}: {names}",
        head,
        bar(CONTENTS),
        tag(
            "main",
            _differences(comparison),
            _results(comparison),
            section(
                "curves",
                "Curves",
                "Epoch by epoch, a colour a run.",
                of_several_runs([run.history for run in comparison.runs]),
            ),
            section(
                "commands",
                "Commands",
                "What trains each of them again.",
                *_commands(comparison),
            ),
        ),
        styles=STYLES,
    )


def _differences(comparison: Comparison) -> Markup:
    found = comparison.differences
    if not found:
        text = "The runs differ in nothing that they record: training, target, versions and data."
        return section("differences", "Differences", text)
    headings = [tag("th", text, scope="col") for text in ("", "key")]
    headings += [tag("th", breakable(name), scope="col") for name in comparison.names]
    rows = []
    about = ""
    for each in found:
        first = tag("td", each.about if each.about != about else None)
        about = each.about
        values = (tag("td", value, class_="text") for value in each.values)
        rows.append(tag("tr", first, tag("th", breakable(each.key), scope="row"), *values))
    return section(
        "differences",
        "Differences",
        "Every key that they do not have alike, of how they were trained, of the target with all "
        "its defaults, and of what they were made with.",
        scrolling(table(headings, rows), "Differences"),
        tag("p", comparison.bits) if comparison.bits is not None else None,
    )


def _results(comparison: Comparison) -> Markup:
    headings = [tag("th", HEADINGS[0], scope="col")]
    headings += [tag("th", text, scope="col", class_="num") for text in HEADINGS[1:]]
    rows = []
    for name, *cells in results(comparison.runs):
        numbers = (tag("td", cell, class_="num") for cell in cells)
        rows.append(tag("tr", tag("th", breakable(name), scope="row"), *numbers))
    measured = any(run.history.measured for run in comparison.runs)
    what = "test error" if measured else "test loss"
    return section(
        "results",
        "Results",
        f"Last and least {what}; training error, test loss and saturated reads of the last epoch; "
        "pulses of all epochs.",
        scrolling(table(headings, rows), "Results"),
    )


def _commands(comparison: Comparison) -> Iterator[Markup]:
    for run in comparison.runs:
        if run.command:
            yield tag("h3", breakable(run.history.name))
            yield command(run.command)
