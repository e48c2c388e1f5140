"""Packing: how many tiles of which piece each array takes, on disjoint rows and columns.

Tiles on disjoint rows and disjoint columns all stay readable at once. They fit where the sum of
their rows and the sum of their columns fit: two-dimensional vector packing. Tiles and arrays that
are alike are handled together, so that the work does not grow with their number. Not for which
array is which: `placement.py` numbers them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

from rpucc.placement.grids import Piece


class Part(NamedTuple):
    """Tiles of one piece on each of several alike arrays, `each` tiles an array, diagonally."""

    piece: Piece
    start: int
    """The tile of the piece that comes first on the first of the arrays."""
    each: int
    at: tuple[int, int]
    """First row and column of the first tile on its array."""


@dataclass(frozen=True)
class Alike:
    """`count` arrays that hold the same parts; the i-th takes the i-th share of each part."""

    count: int
    rows: int
    """Rows still free, below those in use."""
    cols: int
    """Columns still free, right of those in use."""
    parts: tuple[Part, ...] = ()
    pin: int | None = None
    """The id of the array (then there is one) where the user named it."""

    def split(self, count: int) -> tuple[Alike, Alike]:
        """Return the first `count` arrays and the others."""
        if count == self.count:
            return self, replace(self, count=0)
        later = tuple(part._replace(start=part.start + count * part.each) for part in self.parts)
        return replace(self, count=count), replace(self, count=self.count - count, parts=later)

    def room(self, piece: Piece) -> int:
        """Count the tiles of a piece that each of these arrays could still take."""
        return min(self.rows // piece.height, self.cols // piece.width)

    def add(self, piece: Piece, start: int, each: int, size: tuple[int, int]) -> Alike:
        """Return these arrays with `each` more tiles of a piece from tile `start` on."""
        part = Part(piece, start, each, (size[0] - self.rows, size[1] - self.cols))
        return replace(
            self,
            rows=self.rows - each * piece.height,
            cols=self.cols - each * piece.width,
            parts=(*self.parts, part),
        )


def own_arrays(pieces: Iterable[Piece], size: tuple[int, int]) -> list[Alike]:
    """Give each piece arrays of its own: one tile an array, single-tile groups side by side."""
    return [arrays for piece in pieces for arrays in _open(piece, 0, size, alone=True)]


def shared_arrays(
    pieces: list[Piece], size: tuple[int, int], begun: Iterable[Alike] = ()
) -> list[Alike]:
    """Pack the tiles of all pieces together, on as few arrays as first-fit decreasing finds.

    What comes first is decided in several ways, and the best result counts; of equals, the first.
    `begun` are arrays that hold tiles already.
    """
    begun = list(begun)
    found = [_first_fit(sorted(pieces, key=key), size, begun) for key in _orders(size)]
    return min(found, key=count_arrays)


def count_arrays(arrays: Iterable[Alike]) -> int:
    """Count arrays, alike ones singly."""
    return sum(each.count for each in arrays)


def _orders(size: tuple[int, int]) -> list[Callable[[Piece], float]]:
    """The sizes of a tile by which the larger go first: its longer side, both sides, its area."""
    rows, cols = size
    return [
        lambda p: -max(p.height / rows, p.width / cols),
        lambda p: -(p.height / rows + p.width / cols),
        lambda p: -(p.height * p.width),
    ]


def _first_fit(pieces: list[Piece], size: tuple[int, int], begun: list[Alike]) -> list[Alike]:
    """Put each piece on the first arrays with room, then on new ones.

    Arrays only ever lose room: those before the first that had some for a tile of one size need
    not be looked at again for that size.
    """
    places = [[each] for each in begun]
    """In order; what was one sort of alike arrays may have fallen into several."""
    first: dict[tuple[int, int], int] = {}
    """The size of a tile -> the first of the places that may have room for it."""
    for piece in pieces:
        tile, placed = (piece.height, piece.width), 0
        at = first.get(tile, 0)
        while at < len(places) and placed < piece.count:
            filled: list[Alike] = []
            for each in places[at]:
                taken, used = _fill(each, piece, placed, size)
                placed += used
                filled += taken
            places[at] = filled
            if at == first.get(tile, 0) and not any(each.room(piece) for each in filled):
                first[tile] = at + 1
            at += 1
        places += [[each] for each in _open(piece, placed, size, alone=False)]
    return [each for place in places for each in place]


def _fill(
    arrays: Alike, piece: Piece, start: int, size: tuple[int, int]
) -> tuple[list[Alike], int]:
    """Put the tiles of a piece from `start` on where these arrays have room, first ones first.

    Returns the arrays, which may fall into three sorts (full, one partly, untouched), and how many
    tiles they took.
    """
    left = piece.count - start
    room = arrays.room(piece)
    if not left or not room:
        return [arrays], 0
    full = min(arrays.count, left // room)
    over = left % room if full < arrays.count else 0
    filled, rest, taken = [], arrays, 0
    for count, each in ((full, room), (1, over)):
        if count and each:
            some, rest = rest.split(count)
            filled.append(some.add(piece, start + taken, each, size))
            taken += count * each
    return [*filled, *([rest] if rest.count else [])], taken


def _open(piece: Piece, start: int, size: tuple[int, int], *, alone: bool) -> Iterator[Alike]:
    """Yield new arrays for the tiles of a piece from `start` on.

    alone: one tile an array, but for groups that may lie side by side.
    """
    empty = Alike(1, *size)
    each = 1 if alone and not piece.grid.side_by_side else empty.room(piece)
    full, over = divmod(piece.count - start, each)
    if full:
        yield replace(empty, count=full).add(piece, start, each, size)
    if over:
        yield empty.add(piece, start + full * each, over, size)
