"""Pins: layers that a user put on given arrays (`[[layer]]` rules with `arrays = [..]`).

Follows them to the letter or says why that cannot be; never moves a tile elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, repeat
from typing import TYPE_CHECKING

from rpucc.errors import TargetError
from rpucc.placement.grids import GridSpec, Piece, alike_pieces, whole_pieces
from rpucc.placement.pack import Alike, Part, count_arrays, own_arrays

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind


def pinned_arrays(
    grids: Sequence[tuple[int, GridSpec]], kind: ArrayKind, *, share: bool
) -> list[Alike]:
    """Return the arrays of one kind that pins name, with the tiles on them, by id.

    grids: those with pins, each with its place in forward order. Raises TargetError, one line,
    where a pin is beyond the number of arrays, the ids are too few or too many, or the tiles on an
    array are not on disjoint rows and columns (or belong to several layers and `share` is off).
    """
    size = kind.rows, kind.cols
    arrays: dict[int, Alike] = {}
    for position, grid in grids:
        ids = _ids(grid, size)
        _check_count(grid, kind)
        for (piece, index), array in zip(_tiles(grid, position), ids, strict=True):
            held = arrays.get(array) or Alike(1, *size, pin=array)
            if held.parts and not share:
                _check_alone(held, piece, index)
            if not held.room(piece):
                raise TargetError(_full(held, piece, size))
            arrays[array] = _joined(held, piece, index, size)
    return [arrays[array] for array in sorted(arrays)]


def _ids(grid: GridSpec, size: tuple[int, int]) -> list[int]:
    """Return one id a tile."""
    if len(grid.pins) == grid.tiles:
        return list(grid.pins)
    own = own_arrays(whole_pieces(grid, 0), size)
    if len(grid.pins) == count_arrays(own):
        tiles = (part.each for arrays in own for part in arrays.parts for _ in range(arrays.count))
        return list(chain.from_iterable(map(repeat, grid.pins, tiles)))
    needed = f"one id for each of its {grid.tiles} tiles" if grid.tiles > 1 else "one id"
    if count_arrays(own) != grid.tiles:
        needed += f", or for each of the {count_arrays(own)} arrays that its groups lie on"
    raise TargetError(f"{_where(grid)}: found {len(grid.pins)} ids; needs {needed}")


def _tiles(grid: GridSpec, position: int) -> Iterator[tuple[Piece, int]]:
    """Yield the tiles of a layer in order, each as a tile of a piece of alike ones."""
    pieces = list(alike_pieces(grid, position))
    found = {(row, col): piece for piece in pieces for row in piece.rows for col in piece.cols}
    for copy, group, row, col in grid.positions():
        piece = found[row, col]
        yield piece, piece.index(copy, group, row, col)


def _joined(held: Alike, piece: Piece, index: int, size: tuple[int, int]) -> Alike:
    """Add one tile to an array; consecutive groups become one part."""
    added = held.add(piece, index, 1, size)
    before = held.parts[-1] if held.parts else None
    if before is None or before.piece is not piece or before.start + before.each != index:
        return added
    part = Part(piece, before.start, before.each + 1, before.at)
    return Alike(1, added.rows, added.cols, (*held.parts[:-1], part), held.pin)


def _check_count(grid: GridSpec, kind: ArrayKind) -> None:
    beyond = max(grid.pins)
    if kind.count and beyond >= kind.count:
        raise TargetError(
            f"{_where(grid)}: found array {beyond}; there are {kind.count} arrays {kind.name!r} "
            f"(array.count), so ids go from 0 to {kind.count - 1}"
        )


def _check_alone(held: Alike, piece: Piece, index: int) -> None:
    """Refuse a second tile on an array, but for the next single-tile group of the same layer."""
    last = held.parts[-1]
    other = last.piece
    same_copy = other is piece and piece.tile(last.start)[0] == piece.tile(index)[0]
    if same_copy and piece.grid.side_by_side:
        return
    whose = (
        "another tile of the layer"
        if other.position == piece.position
        else f"layer {other.grid.layer!r}"
    )
    raise TargetError(
        f"{_where(piece.grid)}: array {held.pin} holds {whose} already; take another, or let "
        "tiles share arrays with placement.share = true"
    )


def _full(held: Alike, piece: Piece, size: tuple[int, int]) -> str:
    names = dict.fromkeys(part.piece.grid.layer for part in held.parts)
    others = ", ".join(repr(name) for name in names)
    return (
        f"{_where(piece.grid)}: a tile of {piece.height} × {piece.width} does not fit array "
        f"{held.pin} beside what lies there ({others}): of {size[0]} rows and {size[1]} columns, "
        f"{held.rows} and {held.cols} are free (tiles on an array take disjoint rows and columns)"
    )


def _where(grid: GridSpec) -> str:
    return f"layer {grid.layer!r}: arrays"
