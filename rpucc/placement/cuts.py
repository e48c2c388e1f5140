"""Cutting the lines of a matrix into segments that fit an array."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind, Mapping

Cuts = tuple[int, ...]


def grid_cuts(mapping: Mapping, R: int, C: int, kind: ArrayKind) -> tuple[Cuts, Cuts]:
    """Return (row cuts, column cuts) of a matrix [R, C]: the user's own, or as few as possible."""
    row_cuts = mapping.row_cuts or cut_lines(mapping.cuts, R, kind.rows)
    return row_cuts, mapping.col_cuts or cut_lines(mapping.cuts, C, kind.cols)


def cut_lines(how: str, lines: int, limit: int) -> tuple[int, ...]:
    """Cut as `mapping.cuts` says: balanced or greedy."""
    return balanced_cuts(lines, limit) if how == "balanced" else greedy_cuts(lines, limit)


def balanced_cuts(lines: int, limit: int) -> tuple[int, ...]:
    """Cut `lines` into as few segments of at most `limit` as possible, sizes at most one apart.

    >>> balanced_cuts(513, 512), balanced_cuts(10, 4)
    ((0, 257, 513), (0, 4, 7, 10))
    """
    count = -(-lines // limit)
    size, larger = divmod(lines, count)
    sizes = [size + 1] * larger + [size] * (count - larger)
    return tuple(accumulate(sizes, initial=0))


def greedy_cuts(lines: int, limit: int) -> tuple[int, ...]:
    """Cut `lines` into full segments of `limit` and one with what is left.

    >>> greedy_cuts(513, 512), greedy_cuts(10, 4)
    ((0, 512, 513), (0, 4, 8, 10))
    """
    return (*range(0, lines, limit), lines)
