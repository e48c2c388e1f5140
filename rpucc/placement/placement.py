"""The placement of a network: which tile is where, answered without listing all tiles.

Not for deciding it: `place.py` does, with the packing of `pack.py`.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from rpucc.placement.grids import Block, GridSpec, Piece
from rpucc.placement.pack import Alike, Part

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind


MOST_LISTED = 100_000
"""Tiles of a layer whose places are written out."""


class ArrayRun(NamedTuple):
    """Alike arrays with ids that count up from `first`."""

    kind: str
    first: int
    arrays: Alike


class Placement:
    """Where every tile of every layer lies. Made by `rpucc.placement.place`; immutable."""

    def __init__(
        self,
        grids: Sequence[GridSpec],
        kinds: Sequence[ArrayKind],
        runs: Mapping[str, list[ArrayRun]],
    ) -> None:
        """Take the runs of each kind in the order of their ids."""
        self.grids = tuple(grids)
        self._kinds = {kind.name: kind for kind in kinds}
        self._runs = runs
        self._firsts = {kind: [run.first for run in found] for kind, found in runs.items()}

    @cached_property
    def arrays(self) -> dict[str, int]:
        """Array kind to the number of arrays used; kinds without any are left out."""
        counts = {kind: sum(run.arrays.count for run in runs) for kind, runs in self._runs.items()}
        return {kind: count for kind, count in counts.items() if count}

    def arrays_of(self, layer: str) -> Sequence[int]:
        """Return the ids of the arrays that hold tiles of a layer, ascending.

        Raises KeyError for a layer that is not placed.
        """
        ranges = [range(run.first, run.first + run.arrays.count) for run in self._runs_of[layer]]
        ranges.sort(key=lambda ids: ids.start)
        if ranges and all(a.stop == b.start for a, b in pairwise(ranges)):
            return range(ranges[0].start, ranges[-1].stop)
        return [array for ids in ranges for array in ids]

    def count_of(self, layer: str) -> int:
        """Count the arrays that hold tiles of a layer; KeyError for one that is not placed."""
        return sum(run.arrays.count for run in self._runs_of[layer])

    def places(self, layer: str) -> tuple[list[str], str]:
        """Return the arrays of a layer as ranges of ids, and a digest of which tile is where.

        Both are equal exactly where every tile lies at the same place; of more than MOST_LISTED
        tiles the digest is "". Raises KeyError for a layer that is not placed.
        """
        ids = list(ranges(self.arrays_of(layer)))
        grid = next(grid for grid in self.grids if grid.layer == layer)
        if grid.tiles > MOST_LISTED:
            return ids, ""
        places = ((block.array, *block.at) for block in self.blocks(layer))
        text = ";".join("{},{},{}".format(*place) for place in places)
        return ids, hashlib.sha256(text.encode()).hexdigest()[:16]

    def blocks(self, layer: str | None = None) -> Iterator[Block]:
        """Yield the tiles of a layer, or of all layers in forward order: copy, group, row, column.

        Lazily: a network may have millions. Raises KeyError for a layer that is not placed.
        """
        if layer is not None and layer not in self._runs_of:
            raise KeyError(layer)
        for grid in self.grids:
            if layer is not None and grid.layer != layer:
                continue
            yield from self._layer_blocks(grid)

    def blocks_on(self, kind: str, array: int) -> Iterator[Block]:
        """Yield the tiles on one array, from its top left corner down; none for one not used."""
        runs = self._runs.get(kind, [])
        i = bisect_right(self._firsts.get(kind, []), array) - 1
        if i < 0 or not runs[i].first <= array < runs[i].first + runs[i].arrays.count:
            return
        run = runs[i]
        for part in run.arrays.parts:
            first = part.start + (array - run.first) * part.each
            for index in range(first, first + part.each):
                yield _block(run, part, index)

    def utilisation(self, kind: str | None = None) -> float:
        """Weights by crosspoints of the arrays used, 0 to 1: of one kind or of all."""
        kinds = [kind] if kind is not None else list(self.arrays)
        weights = sum(grid.weights for grid in self.grids if grid.kind in kinds)
        crosspoints = sum(
            self.arrays.get(name, 0) * self._kinds[name].rows * self._kinds[name].cols
            for name in kinds
        )
        return weights / crosspoints if crosspoints else 0.0

    @cached_property
    def _runs_of(self) -> dict[str, list[ArrayRun]]:
        """Layer to the runs of arrays that hold tiles of it."""
        found: dict[str, list[ArrayRun]] = {grid.layer: [] for grid in self.grids}
        for runs in self._runs.values():
            for run in runs:
                for layer in {part.piece.grid.layer: None for part in run.arrays.parts}:
                    found[layer].append(run)
        return found

    def _layer_blocks(self, grid: GridSpec) -> Iterator[Block]:
        """Yield a layer's tiles in order, each looked up in the piece that it belongs to."""
        places = _places(self._runs_of[grid.layer], grid.layer)
        copy_class = {copy: piece.copies.start for piece in places for copy in piece.copies}
        row_class = {row: piece.rows[0] for piece in places for row in piece.rows}
        col_class = {col: piece.cols[0] for piece in places for col in piece.cols}
        found = {
            (piece.copies.start, piece.rows[0], piece.cols[0]): (piece, *places[piece])
            for piece in places
        }
        for copy, group, row, col in grid.positions():
            piece, starts, homes = found[copy_class[copy], row_class[row], col_class[col]]
            index = piece.index(copy, group, row, col)
            yield _block(*homes[bisect_right(starts, index) - 1], index)


def ranges(ids: Iterable[int]) -> Iterator[str]:
    """Yield ids as text, where three or more count up as a range.

    >>> list(ranges([5, 0, 1, 2, 7, 8]))
    ['5', '0-2', '7', '8']
    """
    run: list[int] = []
    for each in [*ids, None]:
        if run and each != run[-1] + 1:
            yield from (map(str, run) if len(run) < 3 else [f"{run[0]}-{run[-1]}"])
            run = []
        if each is not None:
            run.append(each)


def _places(
    runs: Sequence[ArrayRun], layer: str
) -> dict[Piece, tuple[list[int], list[tuple[ArrayRun, Part]]]]:
    """Return for each piece of a layer where it lies: the first tile of each part, ascending."""
    parts: dict[Piece, list[tuple[ArrayRun, Part]]] = {}
    for run in runs:
        for part in run.arrays.parts:
            if part.piece.grid.layer == layer:
                parts.setdefault(part.piece, []).append((run, part))
    for found in parts.values():
        found.sort(key=lambda pair: pair[1].start)
    return {piece: ([part.start for _, part in found], found) for piece, found in parts.items()}


def _block(run: ArrayRun, part: Part, index: int) -> Block:
    """Return tile `index` of a part's piece as it lies on its array."""
    piece, grid = part.piece, part.piece.grid
    copy, group, row, col = piece.tile(index)
    array, nth = divmod(index - part.start, part.each)
    return Block(
        grid.layer,
        copy,
        group,
        row,
        col,
        (grid.row_cuts[row], grid.row_cuts[row + 1]),
        (grid.col_cuts[col], grid.col_cuts[col + 1]),
        run.kind,
        run.first + array,
        (part.at[0] + nth * piece.height, part.at[1] + nth * piece.width),
    )
