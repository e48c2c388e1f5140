"""Put the page of a plan together: header, sections, the data of the drawings.

Not for the document around them: that is document.py.
"""

from __future__ import annotations

from rpucc.report.drawings.arrays import array_pictures, tile_table
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.html import sections
from rpucc.report.html.cost import cost
from rpucc.report.html.document import bar, document
from rpucc.report.html.summary import header
from rpucc.report.markup import Markup, tag

CONTENTS = (
    ("network", "Network"),
    ("layers", "Layers"),
    ("arrays", "Arrays"),
    ("time", "Time"),
    ("pipeline", "Pipeline"),
    ("cost", "Cost"),
    ("policies", "Policies"),
    ("terms", "Terms"),
)
"""Anchor and title of each section."""


def page(scene: Scene) -> str:
    """Return the whole document as text."""
    pictures = array_pictures(scene)
    main = tag(
        "main",
        sections.network(scene),
        sections.layers(scene),
        sections.arrays(scene, pictures),
        sections.time(scene),
        sections.pipeline(scene),
        cost(scene),
        sections.policies(scene),
        sections.terms(),
    )
    data = {
        "layers": [layer.name for layer in scene.plan.layers],
        "cuts": sections.cuts(scene),
        "pictures": tile_table(scene, pictures),
    }
    return document(
        f"{scene.program.name} on {scene.plan.target}",
        header(scene),
        bar(CONTENTS, _search()),
        main,
        scripts=("tip.js", "page.js"),
        data=data,
    )


def _search() -> Markup:
    """The search that filters layers."""
    return tag(
        "label",
        tag("span", "Find layers", class_="label"),
        tag("input", type="search", id="find", placeholder="Find layers…", autocomplete="off"),
        tag("output", id="found", for_="find"),
    )
