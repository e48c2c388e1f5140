"""Place a network's tiles on arrays: a pure function of its grids and of the target's kinds.

Not for a budget of arrays: what is needed may be more than there is (`rpucc.passes.place`).
"""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpucc.placement.grids import GridSpec, alike_pieces, whole_pieces
from rpucc.placement.pack import Alike, count_arrays, own_arrays, shared_arrays
from rpucc.placement.pins import pinned_arrays
from rpucc.placement.placement import ArrayRun, Placement

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind


def place(grids: Sequence[GridSpec], kinds: Sequence[ArrayKind], *, share: bool) -> Placement:
    """Give every tile an array of its grid's kind, and a place on it.

    grids: the layers in forward order. kinds: the target's; every grid names one that holds its
    tiles. share: False gives every tile an array to itself, where only the groups of a grouped
    convolution lie side by side (as many as fit on disjoint rows and columns, each of them a
    single tile); True lets tiles of any layers share an array on disjoint rows and columns.

    Array ids count up from 0 within a kind, in forward order of the first layer on each array;
    ids that a grid's `pins` name are its own. The same arguments give the same placement.
    Raises ValueError for a grid that does not fit, TargetError for pins that cannot be followed.
    """
    runs: dict[str, list[ArrayRun]] = {}
    for kind in kinds:
        mine = [(i, grid) for i, grid in enumerate(grids) if grid.kind == kind.name]
        for _, grid in mine:
            _check_fit(grid, kind)
        runs[kind.name] = _number(kind.name, _pack(mine, kind, share))
    unknown = sorted({grid.kind for grid in grids} - runs.keys())
    if unknown:
        raise ValueError(f"no array kind {unknown[0]!r}; there are {', '.join(runs)}")
    return Placement(grids, kinds, runs)


def _pack(grids: Sequence[tuple[int, GridSpec]], kind: ArrayKind, share: bool) -> list[Alike]:
    """Pack the grids of one kind, given with their places in forward order."""
    size = kind.rows, kind.cols
    pinned = pinned_arrays([(i, grid) for i, grid in grids if grid.pins], kind, share=share)
    free = [(i, grid) for i, grid in grids if not grid.pins]
    alone = own_arrays((piece for i, grid in free for piece in whole_pieces(grid, i)), size)
    alone = [*pinned, *alone]
    if not share:
        return alone
    pieces = [piece for i, grid in free for piece in alike_pieces(grid, i)]
    together = shared_arrays(pieces, size, pinned)
    # First-fit decreasing is no optimum: where it gains nothing, layers stay apart.
    return together if count_arrays(together) < count_arrays(alone) else alone


def _number(kind: str, packed: Sequence[Alike]) -> list[ArrayRun]:
    """Give ids to arrays, in forward order of the first layer on each, around pinned ones."""
    pinned = {arrays.pin: arrays for arrays in packed if arrays.pin is not None}
    pins = [*sorted(pinned), sys.maxsize]
    runs: list[ArrayRun] = []
    first = 0
    for left in sorted((each for each in packed if each.pin is None), key=_first_layer):
        while left.count:
            while first in pinned:
                first += 1
            gap = pins[bisect_left(pins, first)] - first
            now, left = left.split(min(gap, left.count))
            runs.append(ArrayRun(kind, first, now))
            first += now.count
    runs += [ArrayRun(kind, pin, arrays) for pin, arrays in pinned.items()]
    return sorted(runs, key=lambda run: run.first)


def _first_layer(arrays: Alike) -> int:
    return min(part.piece.position for part in arrays.parts)


def _check_fit(grid: GridSpec, kind: ArrayKind) -> None:
    height, width = grid.largest_tile
    if height > kind.rows or width > kind.cols:
        raise ValueError(
            f"layer {grid.layer!r}: a tile of {height} × {width} does not fit an array "
            f"{kind.name!r} of {kind.rows} × {kind.cols}"
        )
