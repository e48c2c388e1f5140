"""Put the page together: head, header, sections, the data of the drawings, style and script.

A content security policy lets the page run this one script (by its hash) and load nothing: what a
hostile model could smuggle in would not run, even were it not escaped.
"""

from __future__ import annotations

import base64
import hashlib
import json
from importlib import resources

from rpucc.report.drawings.arrays import array_pictures, tile_table
from rpucc.report.drawings.drawing_model import Scene
from rpucc.report.html import sections
from rpucc.report.html.cost import cost
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
    script = Markup(_file("page.js"))
    body = tag(
        "body",
        header(scene),
        _bar(),
        main,
        tag("div", id="tip", role="status", hidden=""),
        tag("script", _json(data), type="application/json", id="data"),
        tag("script", script),
    )
    return f"<!DOCTYPE html>\n{tag('html', _head(scene, script), body, lang='en')}\n"


def _head(scene: Scene, script: str) -> Markup:
    style = Markup(_file("page.css"))
    policy = (
        f"default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src '{_hash(style)}'; script-src '{_hash(script)}'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="generator", content="rpucc"),
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{scene.program.name} on {scene.plan.target}"),
        tag("style", style),
    )


def _bar() -> Markup:
    """The line that stays on top: contents, and the search that filters layers."""
    links = [tag("a", title, href=f"#{anchor}") for anchor, title in CONTENTS]
    search = tag(
        "label",
        tag("span", "Find layers", class_="label"),
        tag("input", type="search", id="find", placeholder="Find layers…", autocomplete="off"),
        tag("output", id="found", for_="find"),
    )
    return tag("div", tag("nav", *links, aria_label="Sections"), search, class_="bar-top")


def _json(data: object) -> Markup:
    """Return data as JSON that cannot end the script element that holds it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _file(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
