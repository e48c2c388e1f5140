"""The page of `rpucc devices gallery`: kinds of devices side by side, as figures and as pictures.

Not for looking at devices: that is rpucc.runtime.portrait.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.drawings import small_response
from rpucc.report.drawings.weights import weights_drawing
from rpucc.report.html.document import bar, document
from rpucc.report.html.parts import breakable, legend, scrolling, section, table
from rpucc.report.markup import Markup, slug, tag

if TYPE_CHECKING:
    from rpucc.runtime.portrait import Portrait

CONTENTS = (("figures", "Figures"), ("models", "Models"), ("presets", "Presets"))
COLUMNS = (
    ("step", "granularity: the mean of an up and a down step at weight 0"),
    ("states", "steps from bound to bound"),
    ("spread", "of steps from device to device, dw_min_dtod"),
    ("noise", "of a step from pulse to pulse, dw_min_std"),
    ("asymmetry", "up_down, and its spread"),
    ("lower bound", "mean and standard deviation over devices"),
    ("upper bound", "mean and standard deviation over devices"),
    ("symmetry point", "where an up and a down step cancel: mean and standard deviation"),
)


@dataclass(frozen=True)
class Entry:
    """A kind of device and where it comes from."""

    name: str
    summary: str
    portrait: Portrait
    preset: bool
    """Whether it is a preset's; else a model's with its defaults."""


def page(entries: Sequence[Entry]) -> str:
    """Return the whole document as text."""
    lead = "Models with their defaults, and the devices of the presets: each as it is simulated."
    head = tag("header", tag("h1", "Devices"), tag("p", lead, class_="lead"))
    return document(
        "Devices of rpucc",
        head,
        bar(CONTENTS),
        tag(
            "main", _figures(entries), *(_pictures(entries, preset=each) for each in (False, True))
        ),
        styles=("page.css", "runs.css"),
    )


def _figures(entries: Sequence[Entry]) -> Markup:
    headings = [tag("th", "device", scope="col"), tag("th", "what it is", scope="col")]
    headings += [
        tag("th", name, scope="col", class_="num", data_tip=about) for name, about in COLUMNS
    ]
    rows = []
    for entry in entries:
        link = tag("a", breakable(entry.name), href=f"#{_anchor(entry)}")
        name = entry.portrait.device.name
        model = tag("td", f"preset, {name}" if entry.preset else "model")
        cells = (tag("td", cell, class_="num") for cell in _cells(entry.portrait))
        rows.append(tag("tr", tag("th", link, scope="row"), model, *cells))
    text = "Weights have no unit; steps and spreads are those of single devices."
    return section("figures", "Figures", text, scrolling(table(headings, rows), "Figures"))


def _cells(portrait: Portrait) -> Iterator[str]:
    p = portrait.device.parameters
    yield f"{portrait.device.granularity:.3g}"
    yield units.NONE if portrait.states is None else units.large(portrait.states)
    for key in ("dw_min_dtod", "dw_min_std"):
        yield units.percent(p[key], 0) if key in p else units.NONE
    known = "up_down" in p and "up_down_dtod" in p
    yield f"{p['up_down']:.3g} ± {p['up_down_dtod']:.2g}" if known else units.NONE
    for bound in (portrait.lower, portrait.upper):
        yield _spread(bound)
    yield _spread(portrait.symmetry)


def _spread(moments: tuple[float, float] | None) -> str:
    return "none" if moments is None else units.spread(*moments)


def _pictures(entries: Sequence[Entry], *, preset: bool) -> Markup:
    anchor, title = CONTENTS[2 if preset else 1]
    text = (
        "Curves of single devices from weight 0, pulsed up, then as often down; below them how "
        "the symmetry points of many are spread."
    )
    marks = legend(small_response.LEGEND)
    figures = [_picture(each) for each in entries if each.preset is preset]
    return section(anchor, title, text, marks, tag("div", *figures, class_="charts"))


def _picture(entry: Entry) -> Markup:
    portrait = entry.portrait
    curve = small_response.small_response(f"Response of {entry.name}", portrait.response)
    below: Markup
    if portrait.points is None:
        below = tag("p", "No symmetry point: up and down steps cancel at no weight.")
    else:
        label = f"Symmetry points of {entry.name}: {_spread(portrait.symmetry)}"
        below = weights_drawing(label, portrait.points).scaled()
    share = f"; {units.percent(portrait.without, 0)} have none" if 0 < portrait.without < 1 else ""
    caption = tag(
        "figcaption", f"{entry.summary}. Symmetry point {_spread(portrait.symmetry)}{share}"
    )
    return tag(
        "figure", tag("h3", breakable(entry.name)), caption, curve.scaled(), below,
        id=_anchor(entry),
    )  # fmt: skip


def _anchor(entry: Entry) -> str:
    return f"{'preset' if entry.preset else 'model'}-{slug(entry.name)}"
