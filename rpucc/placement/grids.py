"""What is placed: grids of tiles, and the tiles of a grid that are alike.

Not for where they go: `pack.py` decides that, and `placement.py` answers questions about it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise, product
from typing import NamedTuple


@dataclass(frozen=True)
class GridSpec:
    """One layer's matrix as it is cut into tiles."""

    layer: str
    kind: str
    """The name of the kind of array that holds its tiles."""
    row_cuts: tuple[int, ...]
    """[0, .., R]: where the rows of one group's matrix are cut; sizes need not be equal."""
    col_cuts: tuple[int, ...]
    """[0, .., C]: the same for its columns."""
    groups: int = 1
    """Independent matrices of that shape: more than one for a grouped convolution."""
    copies: int = 1
    """Sets of arrays that hold the whole layer: each plane of each of its replicas."""
    planes: tuple[str, ...] = ("weight",)
    """The planes of its cells. The copies are those of the first plane, then of the next."""
    devices: int = 1
    """Devices a weight: the rows of a group's matrix are so many times its outputs."""
    absent: tuple[int, ...] = ()
    """Tiles of each copy that are not there, by their place in [group, row block, segment]."""
    pins: tuple[int, ...] = ()
    """The arrays that the user chose: one id a tile in the order of `Placement.blocks`, or one id
    an array where groups lie side by side. Empty leaves the choice to `place`."""

    @property
    def replicas(self) -> int:
        """Replicas of the layer, which share out its reads."""
        return self.copies // len(self.planes)

    def plane_of(self, copy: int) -> tuple[str, int]:
        """Return which plane a copy is, and of which replica."""
        plane, replica = divmod(copy, self.replicas)
        return self.planes[plane], replica

    def with_replicas(self, count: int) -> GridSpec:
        """Return the grid of a layer with so many replicas."""
        return replace(self, copies=count * len(self.planes))

    @property
    def shape(self) -> tuple[int, int]:
        """R and C of one group's matrix."""
        return self.row_cuts[-1], self.col_cuts[-1]

    @property
    def cells(self) -> tuple[int, int]:
        """Row blocks and column segments of one group's matrix."""
        return len(self.row_cuts) - 1, len(self.col_cuts) - 1

    @property
    def largest_tile(self) -> tuple[int, int]:
        """Rows of the tallest row block and columns of the widest segment."""
        return (
            max(b - a for a, b in pairwise(self.row_cuts)),
            max(b - a for a, b in pairwise(self.col_cuts)),
        )

    @property
    def side_by_side(self) -> bool:
        """Whether groups may lie on one array: several, and each a single tile."""
        return self.groups > 1 and self.cells == (1, 1)

    @property
    def tiles(self) -> int:
        """Tiles of all groups, copies and planes that are there."""
        return self.copies * (self.groups * self.cells[0] * self.cells[1] - len(self.absent))

    def positions(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield copy, group, row block and column segment of each tile, in that order."""
        rows, cols = map(range, self.cells)
        every = product(range(self.copies), range(self.groups), rows, cols)
        if not self.absent:
            return every
        gone, of_a_copy = set(self.absent), self.groups * len(rows) * len(cols)
        return (place for i, place in enumerate(every) if i % of_a_copy not in gone)

    @property
    def weights(self) -> int:
        """Crosspoints of the tiles that are there, all groups and copies."""
        whole = self.groups * self.shape[0] * self.shape[1]
        return self.copies * (whole - sum(h * w for h, w in map(self.tile_size, self.absent)))

    def tile_size(self, place: int) -> tuple[int, int]:
        """Return height and width of a tile by its place in [group, row block, segment]."""
        rest, col = divmod(place, self.cells[1])
        row = rest % self.cells[0]
        heights, widths = self.row_cuts, self.col_cuts
        return heights[row + 1] - heights[row], widths[col + 1] - widths[col]

    def with_all_tiles(self) -> GridSpec:
        """Return the grid without a tile left out."""
        return replace(self, absent=())


class Block(NamedTuple):
    """One tile on an array. Ranges are half-open, in the matrix of its group."""

    layer: str
    copy: int
    group: int
    row: int
    """Which row block."""
    col: int
    """Which column segment."""
    rows: tuple[int, int]
    cols: tuple[int, int]
    kind: str
    array: int
    """Counted from 0 within the kind."""
    at: tuple[int, int]
    """First row and first column on that array."""


@dataclass(frozen=True, eq=False)  # compared as objects: its cuts may be thousands
class Piece:
    """Tiles of one layer, counted row-major: copy, then group, then row block, then segment.

    Where several of them lie on one array they are alike, height × width each. Where each has an
    array to itself a piece is a whole layer, and height and width are those of its largest tile.
    """

    grid: GridSpec
    position: int
    """The layer's place in forward order."""
    copies: range
    rows: Sequence[int]
    """The row blocks it takes, ascending."""
    cols: Sequence[int]
    """The column segments it takes, ascending."""
    height: int
    width: int

    @cached_property
    def count(self) -> int:
        """Tiles of the piece that are there."""
        return len(self.copies) * len(self._there)

    def tile(self, index: int) -> tuple[int, int, int, int]:
        """Return copy, group, row block and column segment of tile `index`."""
        copy, nth = divmod(index, len(self._there))
        rest, col = divmod(self._there[nth], len(self.cols))
        group, row = divmod(rest, len(self.rows))
        return self.copies[copy], group, self.rows[row], self.cols[col]

    def index(self, copy: int, group: int, row: int, col: int) -> int:
        """Return which tile of the piece lies there; the inverse of `tile`."""
        i, j = bisect_left(self.rows, row), bisect_left(self.cols, col)
        place = (group * len(self.rows) + i) * len(self.cols) + j
        nth = bisect_left(self._there, place)
        return (copy - self.copies.start) * len(self._there) + nth

    @cached_property
    def _there(self) -> Sequence[int]:
        """The tiles of a copy that are there, counted through the piece alone, ascending."""
        all_of_them = range(self.grid.groups * len(self.rows) * len(self.cols))
        if not self.grid.absent:
            return all_of_them
        gone = set(self.grid.absent)
        places = product(range(self.grid.groups), self.rows, self.cols)
        blocks, segments = self.grid.cells
        return [
            i
            for i, (group, row, col) in enumerate(places)
            if (group * blocks + row) * segments + col not in gone
        ]


def whole_pieces(grid: GridSpec, position: int) -> Iterator[Piece]:
    """Yield a layer as one piece; where its groups may lie side by side, each copy as one."""
    rows, cols = range(grid.cells[0]), range(grid.cells[1])
    every = range(grid.copies)
    for copies in [range(copy, copy + 1) for copy in every] if grid.side_by_side else [every]:
        yield Piece(grid, position, copies, rows, cols, *grid.largest_tile)


def alike_pieces(grid: GridSpec, position: int) -> Iterator[Piece]:
    """Yield the tiles of a layer by shape: at most four pieces where the cuts are balanced."""
    by_height, by_width = _by_size(grid.row_cuts), _by_size(grid.col_cuts)
    for height, rows in by_height.items():
        for width, cols in by_width.items():
            yield Piece(grid, position, range(grid.copies), rows, cols, height, width)


def _by_size(cuts: tuple[int, ...]) -> dict[int, list[int]]:
    """Return the segments between cuts by their size, in order of appearance.

    >>> _by_size((0, 4, 7, 10))
    {4: [0], 3: [1, 2]}
    """
    found: dict[int, list[int]] = {}
    for i, (start, end) in enumerate(pairwise(cuts)):
        found.setdefault(end - start, []).append(i)
    return found
