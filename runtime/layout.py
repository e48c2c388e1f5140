"""Where a matrix lies on its arrays, and how the random draws of its devices are addressed.

Not for what the devices hold: that is a plane (`plane.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.update_arguments import Tiles

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

# Devices that are worked on together: 1 MiB a quantity, and a handful of quantities at a time.
BLOCK_DEVICES = 1 << 18


@dataclass(frozen=True, eq=False)
class Layout:
    """The tiles of a matrix [R, C], which are index ranges on it.

    row_cuts int64 [B + 1], col_cuts [S + 1]: the tile borders; tiles int64 [B, S]: tile ids,
    unique among the planes of a machine, that address the draws together with key, the seed's two
    words. Of a grouped layer `groups` matrices of one shape, cut alike, lie one below the other.
    """

    row_cuts: IntArray
    col_cuts: IntArray
    tiles: IntArray
    key: tuple[np.uint32, np.uint32]
    groups: int = 1
    there: NDArray[np.bool_] | None = None
    """[B, S]: which tiles there are, where some are left out; those keep their numbers."""

    @classmethod
    def of(
        cls, row_cuts: Sequence[int], col_cuts: Sequence[int], key: tuple[np.uint32, np.uint32], *,
        first_tile: int = 0, groups: int = 1, absent: Sequence[int] = (),
    ) -> Layout:  # fmt: skip
        """Matrices of one shape, one below the other; tiles are numbered row by row.

        row_cuts: the borders of one of them, from 0 to its rows; absent: tiles that are not there.
        """
        one = np.asarray(row_cuts, np.int64)
        starts = np.arange(groups)[:, None] * one[-1]
        rows = np.append((starts + one[:-1]).reshape(-1), groups * one[-1])
        columns = np.asarray(col_cuts, np.int64)
        shape = len(rows) - 1, len(columns) - 1
        tiles = first_tile + np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
        there = np.isin(tiles, first_tile + np.asarray(absent), invert=True) if absent else None
        return cls(rows, columns, tiles, key, groups, there)

    def numbered_on(self, times: int) -> Layout:
        """The same matrix on other tiles, whose ids follow after so many times its number."""
        return replace(self, tiles=self.tiles + times * self.tiles.size)

    @property
    def shape(self) -> tuple[int, int]:
        """(R, C), all groups together."""
        return int(self.row_cuts[-1]), int(self.col_cuts[-1])

    @property
    def ids(self) -> IntArray:
        """The tile ids, [B, S]; -1 for a tile that is not there."""
        return self.tiles if self.there is None else np.where(self.there, self.tiles, -1)

    @property
    def for_kernels(self) -> Tiles:
        """The same, as the update kernels take it."""
        return Tiles(self.row_cuts, self.col_cuts, self.ids)

    @property
    def group_cuts(self) -> IntArray:
        """The row borders of one group's matrix."""
        return self.row_cuts[: (len(self.row_cuts) - 1) // self.groups + 1]

    @property
    def group_tiles(self) -> IntArray:
        """The tile ids by group: [groups, row blocks of a group, column segments]; -1 as `ids`."""
        return self.ids.reshape(self.groups, -1, self.tiles.shape[1])

    def by_group(self, W: FloatArray) -> FloatArray:
        """A matrix [R, C] by group: [groups, R / groups, C], a view."""
        return W.reshape(self.groups, -1, W.shape[1])

    @property
    def longest_segment(self) -> int:
        """Columns of the widest tile."""
        return int(np.max(np.diff(self.col_cuts)))

    def row_blocks(self, first: int = 0, end: int | None = None) -> Iterator[slice]:
        """The rows first .. end - 1 (default: all), as many at a time as are worked on at once.

        So what is in memory beside a result does not grow with the matrix.
        """
        end = self.shape[0] if end is None else end
        for r in range(first, end, self.rows_at_once):
            yield slice(r, min(end, r + self.rows_at_once))

    @property
    def rows_at_once(self) -> int:
        """Rows that are worked on at once."""
        return max(1, BLOCK_DEVICES // self.shape[1])
