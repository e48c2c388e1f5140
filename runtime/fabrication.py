"""Fabricating a grid: every device's parameters, drawn, stored, and the weights programmed.

Done a block of rows at a time, so that what is in memory beside the result does not grow with the
matrix.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime import aligned
from rpucc.runtime.kernels.fabricate import grid_normals

if TYPE_CHECKING:
    from rpucc.runtime.grid import Grid

FloatArray = NDArray[np.float32]

CODES = 65535
"""The largest code of a packed parameter."""

# Devices that are fabricated together: 1 MiB a quantity, and a handful of quantities at a time.
BLOCK_DEVICES = 1 << 18


def fabricate(grid: Grid) -> None:
    """Fill the grid's codes and ranges and clip its weights to what each device can hold."""
    # Where updates are exact no device property plays a part.
    count = len(grid.device.per_device) if grid.pulsed else 0
    grid.ranges = np.zeros((*grid.tiles.shape, count, 2), np.float32)
    # Kernels read codes 16 at a time, up to 15 behind the last.
    kind: Any = np.uint16 if grid.device.packed else np.float32
    grid.codes = aligned.empty((count, *grid.W.shape), kind, spare=16)
    if not grid.pulsed:
        return
    for b, (r0, r1) in enumerate(pairwise(grid.row_cuts.tolist())):
        blocks = list(_row_blocks(r0, r1, grid.W.shape[1]))
        if grid.device.packed:  # a code's range is the whole tile's: it has to be known first
            for r in blocks:
                fabricated = draw(grid, r)
                _widen(grid, b, fabricated, first=r.start == r0)
            _scale(grid, b)
        for r in blocks:
            if not grid.device.packed or len(blocks) > 1:
                fabricated = draw(grid, r)
            _store(grid, b, r, fabricated)
            _program(grid, r)


def _row_blocks(r0: int, r1: int, columns: int) -> Iterator[slice]:
    rows = max(1, BLOCK_DEVICES // columns)
    for r in range(r0, r1, rows):
        yield slice(r, min(r1, r + rows))


def draw(grid: Grid, rows: slice) -> tuple[FloatArray, ...]:
    """The parameters of the devices of some rows of a row block of tiles."""
    shape = (rows.stop - rows.start, grid.W.shape[1])
    fabricated = grid.device.fabricate(_normals(grid, rows))
    needed = len(grid.device.per_device)
    if len(fabricated) != needed or any(np.shape(a) != shape for a in fabricated):
        raise TargetError(
            f"device '{grid.device.name}': fabricate must return {needed} arrays of the shape that "
            f"`normal` gives, here {list(shape)} (per_device = "
            f"{', '.join(grid.device.per_device) or '()'}); it returned "
            f"{[list(np.shape(a)) for a in fabricated]}"
        )
    return fabricated


def _normals(grid: Grid, rows: slice) -> Callable[[], FloatArray]:
    """The function that gives a device model the next normals of those rows."""
    drawn = 0
    scratch = np.empty(int(np.max(np.diff(grid.col_cuts))) + 128, np.float32)

    def normal() -> FloatArray:
        nonlocal drawn
        out = np.empty((rows.stop - rows.start, grid.W.shape[1]), np.float32)
        grid_normals(
            out, rows.start, grid.row_cuts, grid.col_cuts, grid.tiles, drawn, *grid.key, scratch
        )
        drawn += 1
        return out

    return normal


def _segments(grid: Grid) -> Iterator[tuple[int, slice]]:
    for s, (c0, c1) in enumerate(pairwise(grid.col_cuts.tolist())):
        yield s, slice(c0, c1)


def _widen(grid: Grid, b: int, fabricated: tuple[FloatArray, ...], first: bool) -> None:
    """Let ranges[b, :, i] be the least and largest value so far of parameter i in each tile."""
    for i, values in enumerate(fabricated):
        for s, c in _segments(grid):
            low, high = values[:, c].min(), values[:, c].max()
            seen = grid.ranges[b, s, i]
            grid.ranges[b, s, i] = (low, high) if first else (min(low, seen[0]), max(high, seen[1]))


def _scale(grid: Grid, b: int) -> None:
    """Make (lowest, highest) of each tile's parameters (lowest, step of the codes)."""
    low, high = grid.ranges[b, ..., 0], grid.ranges[b, ..., 1]
    step = (high - low) / np.float32(CODES)
    grid.ranges[b, ..., 1] = np.where(step > 0, step, np.float32(1))


def _store(grid: Grid, b: int, rows: slice, fabricated: tuple[FloatArray, ...]) -> None:
    for i, values in enumerate(fabricated):
        if not grid.device.packed:
            grid.codes[i, rows] = values
            continue
        for s, c in _segments(grid):
            low, step = grid.ranges[b, s, i]
            grid.codes[i, rows, c] = np.rint((values[:, c] - low) / step)


def _program(grid: Grid, rows: slice) -> None:
    """Clip the weights of some rows to their devices' ranges, and count those that needed it."""
    low, high = grid.device.weight_range(tuple(grid.parameters_of(rows)))
    W = grid.W[rows]
    programmed = np.clip(W, low, high)
    grid.clipped += int(np.count_nonzero(programmed != W))
    W[:] = programmed
