"""Pieces that the sections of the page share: sections, facts, terms, tables, legends."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rpucc.report import units
from rpucc.report.definitions import definition
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.drawings.svg import DIGITAL
from rpucc.report.markup import Markup, joined, tag


def section(anchor: str, title: str, text: str, *children: Markup | None) -> Markup:
    """Return a section with a heading and a line that says what is in it."""
    return tag("section", tag("h2", title), tag("p", text), *children, id=anchor)


def term(key: str, label: str) -> Markup:
    """Return a label that says what it means and links to the glossary."""
    return tag("a", label, href=f"#def-{key}", class_="term", data_tip=definition(key).text)


def breakable(name: str) -> Markup:
    """Return a name that a narrow column breaks after its separators, not within a word.

    >>> breakable("layer1.0.conv2/BatchNorm")
    'layer1.<wbr>0.<wbr>conv2/<wbr>Batch<wbr>Norm'
    """
    parts = re.split(r"(?<=[./:;,_-])(?=[^./:;,_-])|(?<=[a-z])(?=[A-Z])", units.plain(name))
    return joined(*parts, separator="<wbr>")


def fact(key: str, label: str, value: str | Markup, more: str) -> Markup:
    """Return a number of the whole network, of a definition, with what belongs to it."""
    small = tag("small", more)
    return tag("div", tag("dt", term(key, label)), tag("dd", value, small), class_="fact")


def plain_fact(label: str, value: str | Markup, more: str = "") -> Markup:
    """Return a number with what belongs to it, of no definition."""
    return tag("div", tag("dt", label), tag("dd", value, tag("small", more)), class_="fact")


def table(
    headings: Sequence[Markup],
    rows: Sequence[Markup],
    style: str | None = None,
    above: Sequence[Markup] = (),
) -> Markup:
    """Return a table; `above` are headings of groups of columns."""
    head = [tag("tr", *above, class_="above")] if above else []
    top = tag("thead", *head, tag("tr", *headings))
    return tag("table", top, tag("tbody", *rows), class_=style)


def scrolling(content: Markup, label: str) -> Markup:
    """Return a table in a frame that scrolls sideways, by touch and by keyboard."""
    return tag("div", content, class_="scroll", role="region", aria_label=label, tabindex=0)


def kind_legend(scene: Scene, *, digital: bool) -> Markup:
    """Return the colours of the kinds of array, and of what is on none."""
    return legend([*scene.kind_styles, *([DIGITAL] if digital else [])])


def legend(items: Sequence[tuple[str, str]]) -> Markup:
    """Return colours (styles) with what they mean."""
    entries = (tag("li", tag("i", class_=f"swatch {style}"), text) for style, text in items)
    return tag("ul", *entries, class_="legend")
