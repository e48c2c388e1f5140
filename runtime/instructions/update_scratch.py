"""The working arrays of the update kernels, in the order of their arguments; planned once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rpucc.runtime.kernels.counted.rows import SLOTS
from rpucc.runtime.kernels.pulses import TRAIN_SLOTS

if TYPE_CHECKING:
    from rpucc.runtime.grid import Grid

# Most columns, over all slots, of a chunk of positions; each takes about 10 bytes of scratch.
PAIR_COLUMNS = 262144
# Counted updates: most words of firing bits, and most positions, that are counted together.
CHUNK_WORDS = 262144
CHUNK_POSITIONS = 1024
# Counts are 16-bit: a device may get this many pulses before they are applied.
MOST_PULSES = 32767
# Devices whose noise is drawn in one go, so that it stays in L1, and bytes of column draws (L2).
ROW_BLOCK_DEVICES = 8192
COLUMN_BYTES = 65536
# Draws that wait for their low bits.
TIES = 1024


def update_scratch(
    grid: Grid, total: int, positions: int, bl: int, rows: int, chunk: int = 0
) -> tuple[Any, ...]:
    """For an update of `rows` rows with `total` positions, `positions` of them a sample.

    The first entry is the chunk: how many positions the kernel takes at once. It is a function of
    the shapes alone unless given, because counted updates draw their noise chunk by chunk.
    """
    rows = min(rows, int(np.max(np.diff(grid.row_cuts))))  # a tile's rows are done together
    bl = min(bl, TRAIN_SLOTS)  # a longer train is several positions
    if grid.device.counted:
        return _counted(grid, total, bl, rows, chunk)
    return _one_by_one(grid, chunk or positions, bl, rows)


def device_state(grid: Grid) -> tuple[Any, ...]:
    """What the update kernels know of a grid's devices, in the order of their arguments."""
    if not grid.device.counted:
        return grid.codes, grid.ranges, grid.constants
    return grid.codes, grid.ranges, grid.limits, grid.constants


def _counted(grid: Grid, total: int, bl: int, rows: int, chunk: int) -> tuple[Any, ...]:
    """For `kernels/counted/update.py`."""
    columns = int(np.max(np.diff(grid.col_cuts)))
    width = -(-columns // 16) * 16
    bl_words = -(-bl // SLOTS)
    limits = (total, CHUNK_POSITIONS, CHUNK_WORDS // (bl_words * width), MOST_PULSES // bl)
    chunk = chunk or max(1, min(limits))
    # Vectors of 16 are written whole: hence the 16 entries behind the last one of some arrays.
    lines, pairs = chunk * rows + 32, chunk * bl
    devices = max(ROW_BLOCK_DEVICES, width)
    row_block = devices // width
    drawn = max(1, COLUMN_BYTES // width) * width
    return (
        chunk,
        np.empty((2, chunk), np.float32),  # gains
        np.empty(chunk, np.int32),  # lengths
        np.empty(lines, np.int32),  # numbers
        np.empty(lines, np.int32),  # lines
        np.empty(lines, np.int32),  # levels
        np.empty(lines, np.uint32),  # fired
        np.empty(lines, np.uint32),  # tied
        np.empty((4, lines), np.uint32),  # draws
        np.empty(lines, np.int32),  # groups
        np.empty(lines, np.int32),  # order
        np.empty(rows + 2, np.int32),  # row_starts
        np.empty((3, pairs), np.uint32),  # slots
        np.empty(pairs, np.uint32),  # samples
        np.empty((3, drawn // 16), np.uint32),  # counters
        np.empty(drawn // 4, np.uint32),  # words
        np.empty(width, np.uint8),  # tops
        np.empty(width, np.int8),  # marks
        np.empty(width, np.int32),  # column_levels
        np.empty((5, TIES), np.uint32),  # ties
        np.empty(chunk * bl_words * width, np.int16),  # bits
        np.empty(chunk * width, np.int16),  # signs
        np.empty(devices, np.int16),  # total
        np.empty(devices, np.int16),  # net
        np.empty(devices + 4 * row_block + 16, np.int32),  # listed
        np.empty((2, devices // 4 + row_block + 32), np.uint32),  # row_counters
        np.empty((2, row_block), np.int64),  # found
        np.empty(devices + 4 * row_block + 64, np.float32),  # noise
        np.empty(width, np.int32),  # near
        np.empty((row_block, 2 + width // 16), np.int32),  # blocks
        np.empty(SLOTS, np.int32),  # sizes
    )


def _one_by_one(grid: Grid, positions: int, bl: int, rows: int) -> tuple[Any, ...]:
    """For `devices/update_template.py.txt`."""
    columns = int(np.max(np.diff(grid.col_cuts)))
    width = -(-columns // 16) * 16
    chunk = max(1, min(positions, PAIR_COLUMNS // (bl * width)))
    # Vectors of 16 are written whole: hence the 16 entries behind the last one of some arrays.
    lines, pairs = chunk * rows + 32, chunk * bl
    return (
        chunk,
        np.empty((2, chunk), np.float32),  # gains
        np.empty(chunk, np.int32),  # lengths
        np.empty(lines, np.int32),  # numbers
        np.empty(lines, np.int32),  # lines
        np.empty(lines, np.int32),  # levels
        np.empty(lines, np.uint32),  # fired
        np.empty(lines, np.uint32),  # tied
        np.empty((4, lines), np.uint32),  # draws
        np.empty(lines, np.int32),  # groups
        np.empty((chunk, bl), np.int32),  # pairs
        np.empty(pairs, np.int32),  # pair_lines
        np.empty(pairs, np.uint32),  # pair_slots
        np.empty(pairs, np.int32),  # pair_counts
        np.empty((2, pairs * width // 16), np.uint32),  # counters
        np.empty(pairs * width // 4, np.uint32),  # words
        np.empty(pairs * width, np.int8),  # signs
        np.empty((2, width), np.int8),  # column_marks
        np.empty(width, np.int32),  # column_levels
        np.empty(pairs * width + 16, np.int32),  # columns
        np.empty(lines, np.int32),  # order
        np.empty(rows + 2, np.int32),  # row_starts
        np.zeros(len(grid.W), np.int64),  # counts
        np.empty(pairs * columns + 128, np.float32),  # noise
        np.zeros(width, np.float32),  # row_noise
        np.zeros((1 + len(grid.codes), width), np.float32),  # unpacked
    )
