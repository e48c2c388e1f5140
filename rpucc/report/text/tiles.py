"""The tiles of one layer: on which array each lies, where on it, and how much of it it takes.

Not for finding places: that is rpucc.placement.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any, NamedTuple

from rich.console import RenderableType
from rich.text import Text

from rpucc.placement import Block
from rpucc.plan.plan import Plan
from rpucc.report import units
from rpucc.report.text.tables import new_table

MAX_TILES = 20
"""Tiles that are listed for people; JSON has all."""


class Tile(NamedTuple):
    """One block of a layer's matrix on one array; rows and columns are half-open ranges."""

    kind: str
    array: int
    """Counted from 0 within the kind."""
    plane: str
    """Which of the planes of the layer's cells."""
    copy: int
    group: int
    rows: tuple[int, int]
    columns: tuple[int, int]
    at: tuple[int, int]
    """First row and first column on that array."""
    fill: float
    """Crosspoints of the array that the tile takes, 0 to 1."""


def tiles(plan: Plan, layer: str) -> Iterator[Tile]:
    """Yield a layer's tiles: plane, copy, group, row block, segment; none for a digital layer."""
    sizes = {kind.name: kind.rows * kind.cols for kind in plan.kinds}
    grid = next((grid for grid in plan.grids if grid.layer == layer), None)
    if grid is not None:
        for block in plan.placement.blocks(layer):
            fill = _area(block) / sizes[block.kind]
            ranges = (block.rows, block.cols, block.at)
            which = (*grid.plane_of(block.copy), block.group)
            yield Tile(block.kind, block.array, *which, *ranges, fill)


def as_data(found: Iterator[Tile]) -> list[dict[str, Any]]:
    """Return tiles as plain data, for JSON."""
    return [tile._asdict() for tile in found]


def tile_table(found: Iterator[Tile], total: int) -> list[RenderableType]:
    """Return the first tiles as a table, and how many of `total` are left out."""
    shown = list(islice(found, MAX_TILES))
    first = shown[0].plane if shown else ""
    spread = any(tile.at != (0, 0) for tile in shown)
    headers = ["array", "rows", "columns", "size", *(["at"] if spread else []), "fill"]
    table = new_table(*headers, numeric=range(1, len(headers)), folds=())
    for tile in shown:
        height, width = tile.rows[1] - tile.rows[0], tile.columns[1] - tile.columns[0]
        table.add_row(
            f"{units.plain(tile.kind)} {units.count(tile.array)}{_which(tile, first)}",
            _range(tile.rows),
            _range(tile.columns),
            units.matrix(height, width),
            *([f"{units.count(tile.at[0])}, {units.count(tile.at[1])}"] if spread else []),
            units.significant_percent(tile.fill),
        )
    if total <= MAX_TILES:
        return [table]
    return [table, Text(f"and {units.count(total - MAX_TILES)} more (--json lists all)")]


def _which(tile: Tile, first: str) -> str:
    """Name the plane, the copy and the group of a tile, but for the first."""
    plane = f", {tile.plane}" if tile.plane != first else ""
    return plane + "".join(
        f", {word} {n}" for word, n in (("copy", tile.copy), ("group", tile.group)) if n
    )


def _range(lines: tuple[int, int]) -> str:
    return f"{units.count(lines[0])} … {units.count(lines[1] - 1)}"


def _area(block: Block) -> int:
    return (block.rows[1] - block.rows[0]) * (block.cols[1] - block.cols[0])
