"""How layers by what they cost show themselves in a notebook: two drawings, and the text.

No scripts and no style sheet: a notebook may take either away. Not for the section of a page
(rpucc.report.runs.by_layer).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc.report.drawings.by_layer import (
    BARS,
    MEASURED,
    effects_seen,
    errors_drawing,
    signal_drawing,
)
from rpucc.report.html.repr_html import beside
from rpucc.report.markup import joined, tag
from rpucc.report.text.by_layer import as_text

if TYPE_CHECKING:
    from rpucc.runtime.layer_effects import ByLayer


def by_layer_html(found: ByLayer) -> str:
    """Return layers by what they cost as HTML."""
    errors = errors_drawing(found).file(BARS, header=False)
    signal = signal_drawing(found).file([MEASURED, *effects_seen(found)], header=False)
    return joined(tag("pre", as_text(found, width=140)), beside([errors, signal]))
