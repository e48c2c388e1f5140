"""The page of an ablation: one picture, the table, and what takes each cause away.

Not for cells and bars: ablation.py.
"""

from __future__ import annotations

from collections.abc import Iterator

from rpucc.experiments.ablation import Ablation
from rpucc.report.experiments.ablation import (
    CAPTION,
    cells,
    drawing,
    legend,
    subtitle,
    title,
    totals,
)
from rpucc.report.html.document import bar, document
from rpucc.report.html.parts import legend as swatches
from rpucc.report.html.parts import plain_fact, scrolling, section, table
from rpucc.report.markup import Markup, tag

STYLES = ("page.css", "runs.css")
CONTENTS = (("picture", "Picture"), ("causes", "Causes"), ("settings", "Settings"))
"""Anchor and title of each section."""


def page(found: Ablation) -> str:
    """Return the whole document as text."""
    facts = [plain_fact(label, value) for label, value in totals(found)]
    head = tag(
        "header",
        tag("h1", title(found)),
        tag("p", f"{subtitle(found)}.", class_="lead"),
        tag("dl", *facts, class_="facts"),
    )
    picture = tag("figure", drawing(found).scaled(), swatches(legend()))
    return document(
        title(found),
        head,
        bar(CONTENTS),
        tag(
            "main",
            section(
                "picture", "Picture",
                "What goes away when a cause is taken out of the target, and what comes when it is "
                "the only one there. A line over a bar is the standard deviation over seeds.",
                picture,
            ),
            section("causes", "Causes", CAPTION, _table(found)),
            section(
                "settings", "Settings", "What takes each cause away, as for --set.",
                tag("dl", *_settings(found)),
            ),
        ),
        styles=STYLES,
    )  # fmt: skip


def _table(found: Ablation) -> Markup:
    content = cells(found)
    headings = [
        tag("th", text, scope="col", class_="num" if i in content.numeric else None)
        for i, text in enumerate(content.headers)
    ]
    rows = []
    for first, *rest in content.rows:
        values = (
            tag("td", text, class_="num" if i + 1 in content.numeric else "text")
            for i, text in enumerate(rest)
        )
        rows.append(tag("tr", tag("th", first, scope="row"), *values))
    return scrolling(table(headings, rows), "Causes")


def _settings(found: Ablation) -> Iterator[Markup]:
    for each in found.effects:
        yield tag("dt", each.label)
        yield tag("dd", tag("code", ", ".join(each.overrides)))
