"""Fabricating a grid: every device's parameters, drawn, stored, and the weights programmed.

Done a block of rows at a time, so that what is in memory beside the result does not grow with the
matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime import aligned
from rpucc.runtime.kernels.fabricate import grid_normals
from rpucc.runtime.kernels.philox import FABRICATE

if TYPE_CHECKING:
    from rpucc.runtime.grid import Grid

FloatArray = NDArray[np.float32]

CODES = 65535
"""The largest code of a packed parameter."""

LEAST_STEP = np.float32(1e-30)

# Devices that are fabricated together: 1 MiB a quantity, and a handful of quantities at a time.
BLOCK_DEVICES = 1 << 18


def fabricate(grid: Grid) -> None:
    """Fill the grid's codes and ranges and clip its weights to what each device can hold.

    Where the grid has a reference the devices are kept as they look from it.
    """
    # Where updates are exact no device property plays a part.
    count = len(grid.device.per_device) if grid.pulsed else 0
    grid.ranges = np.zeros((*grid.tiles.shape, count, 2), np.float32)
    # Kernels read codes 16 at a time, up to 15 behind the last.
    kind: Any = np.uint16 if grid.device.packed else np.float32
    grid.codes = aligned.empty((count, *grid.W.shape), kind, spare=16)
    if not grid.pulsed:
        return
    for band in _bands(grid):
        parts = list(_parts(grid, band))
        if grid.device.packed:  # a code's range is the whole tile's: it has to be known first
            for rows in parts:
                fabricated = draw(grid, rows)
                _widen(grid, band, rows, fabricated)
            _scale(grid, band)
        for rows in parts:
            if not grid.device.packed or len(parts) > 1:
                fabricated = draw(grid, rows)
            _store(grid, rows, fabricated)
            _program(grid, rows)


def _bands(grid: Grid) -> Iterator[slice]:
    """Row blocks of tiles that are fabricated together: as many as fit, or one that does not."""
    rows = _rows_at_once(grid)
    first, last = 0, len(grid.row_cuts) - 1
    while first < last:
        fit = int(np.searchsorted(grid.row_cuts, grid.row_cuts[first] + rows, side="right")) - 1
        end = max(fit, first + 1)
        yield slice(first, end)
        first = end


def _parts(grid: Grid, band: slice) -> Iterator[slice]:
    """Rows of a band that are fabricated at once: all of them, or pieces of its only row block."""
    yield from row_blocks(grid, int(grid.row_cuts[band.start]), int(grid.row_cuts[band.stop]))


def row_blocks(grid: Grid, first: int, end: int) -> Iterator[slice]:
    """The rows first .. end - 1, as many at a time as are made at once."""
    rows = _rows_at_once(grid)
    for r in range(first, end, rows):
        yield slice(r, min(end, r + rows))


def _rows_at_once(grid: Grid) -> int:
    return max(1, BLOCK_DEVICES // int(grid.W.shape[1]))


def draw(grid: Grid, rows: slice) -> tuple[FloatArray, ...]:
    """The parameters of the devices of some rows, where weights count from the reference."""
    fabricated = draw_devices(grid, rows)
    if grid.reference is None:
        return fabricated
    return grid.device.shifted(fabricated, grid.reference[rows])


def draw_devices(grid: Grid, rows: slice) -> tuple[FloatArray, ...]:
    """The parameters of the devices of some rows as they are fabricated."""
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
    indices = itertools.count()
    return lambda: normals(grid, rows, FABRICATE, next(indices))


def normals(grid: Grid, rows: slice, purpose: int, index: int) -> FloatArray:
    """Standard normals for the devices of some rows, named by purpose, index and place in a tile.

    purpose: see `kernels/philox.py`. Returns float32 [rows, C].
    """
    scratch = np.empty(int(np.max(np.diff(grid.col_cuts))) + 128, np.float32)
    out = np.empty((rows.stop - rows.start, grid.W.shape[1]), np.float32)
    grid_normals(
        out, rows.start, grid.row_cuts, grid.col_cuts, grid.tiles, purpose, index, *grid.key,
        scratch,
    )  # fmt: skip
    return out


def _widen(grid: Grid, band: slice, rows: slice, fabricated: tuple[FloatArray, ...]) -> None:
    """Let ranges[band, :, i] be the least and largest value so far of parameter i in each tile."""
    starts = np.maximum(grid.row_cuts[band] - rows.start, 0)
    for i, values in enumerate(fabricated):
        seen = grid.ranges[band, :, i]
        for extreme, j in ((np.minimum, 0), (np.maximum, 1)):
            across = extreme.reduceat(values, grid.col_cuts[:-1], axis=1)
            found = extreme.reduceat(across, starts, axis=0)
            first = rows.start == grid.row_cuts[band.start]
            seen[..., j] = found if first else extreme(found, seen[..., j])


def _scale(grid: Grid, band: slice) -> None:
    """Make (lowest, highest) of each tile's parameters (lowest, step of the codes)."""
    low, high = grid.ranges[band, ..., 0], grid.ranges[band, ..., 1]
    # All codes of a tile of equal devices are 0, whatever a step is; 0 / 0 would not be.
    grid.ranges[band, ..., 1] = np.maximum((high - low) / np.float32(CODES), LEAST_STEP)


def _store(grid: Grid, rows: slice, fabricated: tuple[FloatArray, ...]) -> None:
    for i, values in enumerate(fabricated):
        if not grid.device.packed:
            grid.codes[i, rows] = values
            continue
        low, step = grid.ranges_of(rows, i)
        grid.codes[i, rows] = np.rint((values - low) / step)


def _program(grid: Grid, rows: slice) -> None:
    """Clip the weights of some rows to their devices' ranges, and count those that needed it."""
    low, high = grid.device.weight_range(tuple(grid.parameters_of(rows)))
    W = grid.W[rows]
    programmed = np.clip(W, low, high)
    grid.clipped += int(np.count_nonzero(programmed != W))
    W[:] = programmed
