"""The section on which layer costs accuracy: its drawings, its table, what would help.

Not for measuring: that is rpucc.runtime.by_layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings.by_layer import (
    BARS,
    LINES,
    MEASURED,
    MOST_LAYERS,
    effects_seen,
    errors_drawing,
    signal_drawing,
)
from rpucc.report.drawings.svg import styled
from rpucc.report.html.parts import breakable, scrolling, section, table
from rpucc.report.markup import Markup, tag
from rpucc.report.text.by_layer import decibel_text, remedy_text, score_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rpucc.runtime.layer_effects import ByLayer, LayerEffect

HEADINGS = ("all but it", "SNR", "clipped", "saturated", "range used")


def by_layer(found: ByLayer, data: str, total: int) -> Markup:
    """Return the section; data: what the samples are of; total: how many of them there are."""
    what = "error" if found.ideal.error is not None else "loss"
    which = "" if found.samples == total else f"The first {units.count(found.samples)} of "
    text = (
        f"{which}{units.count(total)} test samples of {data}: {what} {score_text(found.target)} "
        f"with all layers on the target, {score_text(found.ideal)} with all ideal. Each layer is "
        "shown alone on the target while all others are ideal, and ideal while all others are on "
        "it; the worst alone is first. What each effect by itself would leave of a layer's signal "
        "is worked out from the exact values of the same samples: the one next to what is measured "
        "limits the layer."
    )
    drawn = min(len(found.layers), MOST_LAYERS)
    few = f" ({drawn} of {len(found.layers)} layers)" if drawn < len(found.layers) else ""
    figures = (
        _figure(f"{what.capitalize()}{few}", errors_drawing(found).scaled(), _of_errors()),
        _figure(f"Signal-to-noise ratio{few}", signal_drawing(found).scaled(), _of_dots(found)),
    )
    return section(
        "by-layer",
        "Layer by layer",
        text,
        tag("div", *figures, class_="charts by-layer"),
        scrolling(_table(found, what), "What each layer costs"),
    )


def _figure(title: str, drawing: Markup, legend: Iterator[Markup]) -> Markup:
    caption = tag("figcaption", tag("b", title))
    return tag("figure", caption, tag("ul", *legend, class_="legend lines"), drawing)


def _of_errors() -> Iterator[Markup]:
    for style, meaning in BARS:
        yield tag("li", tag("i", class_=f"swatch {style}"), meaning)
    for meaning, dashes in LINES:
        line = styled("line", style="line", x1=0, x2=22, y1=5, y2=5, stroke_dasharray=dashes,
                      stroke_width=1.6)  # fmt: skip
        yield tag("li", tag("svg", line, width=22, height=10, aria_hidden="true"), meaning)


def _of_dots(found: ByLayer) -> Iterator[Markup]:
    for style, meaning in (MEASURED, *effects_seen(found)):
        dot = styled("circle", style=style, cx=5, cy=5, r=4.5 if style == MEASURED[0] else 3.5)
        yield tag("li", tag("svg", dot, width=10, height=10, aria_hidden="true"), meaning)


def _table(found: ByLayer, what: str) -> Markup:
    headings = [tag("th", "layer", scope="col")]
    numbers = (f"{what} alone", *HEADINGS)
    headings += [tag("th", heading, scope="col", class_="num") for heading in numbers]
    headings.append(tag("th", "what takes most, and what to try", scope="col"))
    return table(headings, [_row(each) for each in found.layers])


def _row(each: LayerEffect) -> Markup:
    cells = (
        score_text(each.alone),
        score_text(each.without),
        decibel_text(each.snr),
        units.percent(each.clipped),
        units.percent(each.saturated),
        units.percent(each.range_used, 0),
    )
    remedy = remedy_text(each) if each.remedy else "no worse than ideal"
    return tag(
        "tr",
        tag("th", breakable(each.layer), scope="row"),
        *(tag("td", cell, class_="num") for cell in cells),
        tag("td", remedy, class_="text"),
    )
