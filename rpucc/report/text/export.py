"""What an export came to, as text.

Not for the files that it writes: `rpucc/origins/export.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpucc.report import units
from rpucc.report.text.tables import heading, pairs

if TYPE_CHECKING:
    from rich.console import RenderableType

    from rpucc.origins.export import Export


SHOWN = 8
"""Of more constants the first ones are named."""


def summary(name: str, state: str, found: Export, proof: str) -> list[RenderableType]:
    """Return the title and what there is to say about the weights."""
    lines = [("changed", units.plain(_names(found.written)))]
    if found.errors:
        each = (f"{layer} {error:.2g}" for layer, error in found.errors.items())
        lines.append(("standard error of a weight", units.plain(", ".join(each))))
    lines.append(("onnxruntime", units.plain(proof)))
    lines += [("note", units.plain(note)) for note in found.notes]
    return [heading(name, f": its weights {state}"), "", pairs(lines)]


def _names(names: Sequence[str]) -> str:
    if not names:
        return "nothing: the weights are as the model had them"
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
