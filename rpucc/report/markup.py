"""Build XML and HTML: what is text is escaped, only what `tag` made is markup.

Names of layers and models come from files of strangers; through `tag` they can be nothing but
text. Not for what is drawn: the svg_*.py files and html/.
"""

from __future__ import annotations

import re

from rpucc.report import units

Attribute = str | int | float | None

VOID = frozenset({"meta", "input", "br", "hr", "link"})
"""HTML elements without an end tag."""

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;"})


class Markup(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Markup:
    """Return text as markup; characters that XML cannot hold become "?", line ends stay.

    >>> escape("<img onerror='x'>")
    '&lt;img onerror=&#39;x&#39;&gt;'
    """
    printable = "\n".join(units.plain(line) for line in text.split("\n"))
    return Markup(printable.translate(_ESCAPES))


def tag(name: str, /, *children: str | None, **attributes: Attribute) -> Markup:
    """Return one element; children that are no Markup are escaped, None is left out.

    Attribute names lose a last underscore, other underscores become hyphens; None leaves an
    attribute out, "" writes its name alone.

    >>> tag("text", "a < b", class_="name", stroke_width=0.5)
    '<text class="name" stroke-width="0.5">a &lt; b</text>'
    """
    words = "".join(_attribute(key, value) for key, value in attributes.items())
    body = joined(*children)
    if name in VOID:
        return Markup(f"<{name}{words}>")
    return Markup(f"<{name}{words}>{body}</{name}>")


def joined(*parts: str | None, separator: str = "") -> Markup:
    """Return the parts one after the other, escaped where they are no markup."""
    texts = (part if isinstance(part, Markup) else escape(part) for part in parts if part)
    return Markup(separator.join(texts))


def number(value: float) -> str:
    """Return a coordinate with at most two decimals: 12, 12.5, 0.25."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def slug(text: str) -> str:
    """Return a word that can be part of a file name: letters, digits, dots and hyphens.

    >>> slug("my kind/2")
    'my-kind-2'
    """
    return re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-.") or "unnamed"


def _attribute(key: str, value: Attribute) -> str:
    if value is None:
        return ""
    name = key.removesuffix("_").replace("_", "-")
    if value == "":
        return f" {name}"
    text = number(value) if isinstance(value, int | float) else escape(value)
    return f' {name}="{text}"'
