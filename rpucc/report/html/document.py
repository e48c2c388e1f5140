"""A whole document of HTML that needs nothing else: style and script are in it.

A content security policy lets the page run this one script (by its hash) and load nothing: what a
hostile model could smuggle in would not run, even were it not escaped. Not for what is on a page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib import resources

from rpucc.report.markup import Markup, joined, tag

HERE = "rpucc.report.html"


def document(
    title: str,
    *content: Markup,
    styles: Sequence[str] = ("page.css",),
    scripts: Sequence[str] = ("tip.js",),
    data: object = None,
) -> str:
    """Return a page as text. styles, scripts: files of this folder; data: for the scripts."""
    style = Markup("".join(map(_file, styles)))
    script = Markup("".join(map(_file, scripts)))
    held = tag("script", _json(data), type="application/json", id="data") if data else None
    tip = tag("div", id="tip", role="status", hidden="")
    body = tag("body", *content, tip, held, tag("script", script))
    return f"<!DOCTYPE html>\n{tag('html', _head(title, style, script), body, lang='en')}\n"


def _head(title: str, style: Markup, script: Markup) -> Markup:
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
        tag("title", title),
        tag("style", style),
    )


def bar(contents: Sequence[tuple[str, str]], *more: Markup) -> Markup:
    """Return the line that stays on top: links to the sections, by anchor and title, and more."""
    links = [tag("a", title, href=f"#{anchor}") for anchor, title in contents]
    return tag("div", tag("nav", *links, aria_label="Sections"), joined(*more), class_="bar-top")


def _json(data: object) -> Markup:
    """Return data as JSON that cannot end the script element that holds it."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=True)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def _file(name: str) -> str:
    return resources.files(HERE).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return f"sha256-{digest}"
