"""A network that does not fit its target, as tables: what is short, what takes it, what would help.

Pure functions of an Infeasible. Not for working it out: that is `rpucc.passes.remedies`.
"""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rpucc.placement.infeasible import Infeasible, LayerNeed
from rpucc.report import units
from rpucc.report.text.tables import heading, new_table

MAX_LAYERS = 20
"""Layers that are listed for people, those on most arrays first; JSON has all."""

MAX_NAMES = 6
"""Layers that a remedy names; JSON has all."""


def tables(found: Infeasible) -> list[RenderableType]:
    """Return the report: shortages, layers, remedies."""
    parts: list[RenderableType] = [_shortages(found), Text(), _layers(found)]
    if len(found.layers) > MAX_LAYERS:
        more = units.counted(len(found.layers) - MAX_LAYERS, "more layer")
        parts.append(Text(f"and {more} on fewer arrays (--json lists all)"))
    if not found.remedies:
        return parts
    return [*parts, Text(), heading("What would help"), _remedies(found)]


def _shortages(found: Infeasible) -> Table:
    table = new_table("array", "size", "needed", "there are", "missing", numeric=(1, 2, 3, 4))
    for short in found.shortages:
        table.add_row(
            units.plain(short.kind),
            units.matrix(*short.size),
            units.count(short.needed),
            units.count(short.count),
            units.count(short.missing),
            style="bold",
        )
    return table


def _layers(found: Infeasible) -> Table:
    table = new_table("layer", "matrix\nR × C", "array", "tiles", "arrays", numeric=(1, 3, 4))
    for layer in sorted(found.layers, key=lambda layer: -layer.arrays)[:MAX_LAYERS]:
        table.add_row(
            units.plain(layer.layer),
            _matrix(layer),
            units.plain(layer.kind),
            units.count(layer.tiles),
            units.count(layer.arrays),
        )
    return table


def _matrix(layer: LayerNeed) -> str:
    text = units.matrix(layer.R, layer.C, layer.groups)
    copies = f", {units.count(layer.copies)} copies" if layer.copies > 1 else ""
    return f"{text}{copies}{f', {layer.planes} planes' if layer.planes > 1 else ''}"


def _remedies(found: Infeasible) -> Table:
    table = new_table("change", "arrays needed", "fits", folds=(0, 1))
    for remedy in found.remedies:
        needed = (f"{units.count(n)} {units.plain(kind)}" for kind, n in remedy.arrays.items())
        text = f"{units.plain(remedy.change)}{_names(remedy.layers)}"
        table.add_row(text, ", ".join(needed) or "none", "yes" if remedy.fits else "no")
    return table


def _names(layers: tuple[str, ...]) -> str:
    if not layers:
        return ""
    shown = ", ".join(units.plain(name) for name in layers[:MAX_NAMES])
    more = len(layers) - MAX_NAMES
    return f": {shown}{f' and {units.count(more)} more' if more > 0 else ''}"
