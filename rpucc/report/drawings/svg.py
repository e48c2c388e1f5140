"""What all drawings share: styles, text that fits, a drawing as a file or as part of a page.

A style is a class and the same looks as presentation attributes: any viewer shows a file, and a
page's style sheet, which wins over attributes, adapts the drawing to dark screens and to print.
Not for what is drawn: each svg_*.py has one drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rpucc.report.markup import Attribute, Markup, joined, number, tag

FONT = "ui-sans-serif, system-ui, Segoe UI, Helvetica, Arial, sans-serif"
FONT_SIZE = 11
MARGIN = 16
LINE = 18
NAMESPACE = "http://www.w3.org/2000/svg"
CHARACTER = 6.1
"""Mean width of a character of that size; names are cut by it."""
BOLD = 1.1
"""How much wider a bold character is."""

KIND_COLOURS = ("#2b6cb0", "#b45f06", "#0f766e", "#7048a8", "#b03a6f", "#6b7218")
"""Kinds of array in the order of the target; told apart with any colour vision."""

DIGITAL = ("digital", "digital")
"""Style and meaning of what is on no array."""

SLOWEST = ("slow", "bottleneck")
"""Style and meaning of the frame around a layer than which none is slower."""

STYLES: dict[str, dict[str, str]] = {
    "paper": {"fill": "#ffffff"},
    "text": {"fill": "#1b1f24"},
    "muted": {"fill": "#57606a"},
    "strong": {"fill": "#1b1f24", "font-weight": "600"},
    "line": {"fill": "none", "stroke": "#8c959f"},
    "rule": {"fill": "none", "stroke": "#d8dee4"},
    "box": {"fill": "#ffffff", "stroke": "#8c959f"},
    "array": {"fill": "#dde3e9"},
    "digital": {"fill": "#8c959f"},
    "slow": {"fill": "none", "stroke": "#c2410c", "stroke-width": "2"},
    "slow-text": {"fill": "#b03a0a", "font-weight": "600"},
    "forward": {"fill": "#1f4f86"},
    "backward": {"fill": "#5f8fbf"},
    "update": {"fill": "#b45f06"},
    "cell-dark": {"fill": "#ffffff"},
    **{f"kind{i}": {"fill": colour} for i, colour in enumerate(KIND_COLOURS)},
    **{
        f"curve{i}": {"fill": "none", "stroke": colour, "stroke-width": "1.6"}
        for i, colour in enumerate(KIND_COLOURS)
    },
}
"""Style -> its looks on white paper."""


@dataclass(frozen=True)
class Drawing:
    """The inside of an svg element with its size in pixels, and what it shows in words."""

    body: Markup
    width: float
    height: float
    label: str

    def inline(self, **attributes: Attribute) -> Markup:
        """Return an svg element for a page, at its natural size."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return self._element(viewBox=box, width=self.width, **attributes)

    def fluid(self, **attributes: Attribute) -> Markup:
        """Return an svg element as wide as its place; for drawings in percent of the width."""
        return self._element(width="100%", **attributes)

    def scaled(self, **attributes: Attribute) -> Markup:
        """Return an svg element that is drawn as wide as its place is."""
        box = f"0 0 {number(self.width)} {number(self.height)}"
        return self._element(viewBox=box, width="100%", height=None, **attributes)

    def file(self, legend: Sequence[tuple[str, str]] = (), *, header: bool = True) -> Markup:
        """Return an svg document that stands alone, on white paper, under its label.

        legend: styles with what they mean. header: begin with the XML declaration; a page that
        holds the document has none.
        """
        head = [words(0, 12, self.label, "strong"), *_legend(legend)]
        top = 24 + (LINE if legend else 0)
        size = {"width": self.width, "height": self.height}
        inner = tag("svg", self.body, x=MARGIN, y=MARGIN + top, overflow="visible", **size)
        line = "".join(f"{text}      " for _, text in legend)
        width = max(self.width, *(text_width(text) for text in (self.label, line))) + 2 * MARGIN
        body = joined(
            tag("title", self.label),
            styled("rect", style="paper", width="100%", height="100%"),
            tag("g", *head, transform=f"translate({MARGIN} {MARGIN})"),
            inner,
        )
        height = self.height + top + 2 * MARGIN
        element = Drawing(body, width, height, self.label).inline(xmlns=NAMESPACE)
        start = '<?xml version="1.0" encoding="UTF-8"?>\n' if header else ""
        return Markup(f"{start}{element}\n")

    def _element(self, **attributes: Attribute) -> Markup:
        common: dict[str, Attribute] = {"role": "img", "aria_label": self.label}
        common |= {"height": self.height, "font_family": FONT, "font_size": FONT_SIZE}
        return tag("svg", self.body, **{**common, **attributes})


def text_width(text: str) -> float:
    """Return about what a line of text takes, also in bold."""
    return BOLD * CHARACTER * len(text)


def _legend(items: Sequence[tuple[str, str]]) -> Iterator[Markup]:
    """Yield a swatch and its meaning for each style, in a line below the label."""
    x = 0.0
    for style, text in items:
        yield styled("rect", style=style, x=x, y=22, width=10, height=10, rx=2)
        yield words(x + 15, 31, text)
        x += 15 + CHARACTER * len(text) + 20


def styled(name: str, /, *children: str | None, style: str, **attributes: Attribute) -> Markup:
    """Return an element of a style: its class, and its looks as attributes; given ones win."""
    own = {key.replace("_", "-"): value for key, value in attributes.items()}
    return tag(name, *children, class_=style, **{**STYLES[style], **own})


def words(x: float | str, y: float, text: str, style: str = "text", **more: Attribute) -> Markup:
    """Return a line of text with its baseline at y."""
    return styled("text", text, style=style, x=x, y=y, **more)


def fit(text: str, width: float) -> str:
    """Return text cut in its middle to what `width` pixels hold: long names differ at the end.

    >>> fit("stage1.block2.conv3.weight", 100)
    'stage1.…3.weight'
    """
    room = max(int(width / CHARACTER), 3)
    if len(text) <= room:
        return text
    head = (room - 1) // 2
    return f"{text[:head]}…{text[len(text) - (room - 1 - head) :]}"


def kind_style(index: int) -> str:
    """Return the style of the target's kind of array `index`; colours repeat after six."""
    return f"kind{index % len(KIND_COLOURS)}"
