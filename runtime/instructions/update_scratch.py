"""What the update kernels work with: working arrays, planned once, and the devices of a plane."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rpucc.runtime.kernels.coincidences.rows import SLOTS
from rpucc.runtime.kernels.held import HELD_ROWS
from rpucc.runtime.kernels.list_scratch import list_scratch
from rpucc.runtime.kernels.pulses import TRAIN_SLOTS
from rpucc.runtime.kernels.update_arguments import (
    ClippedDevices,
    CountedDevices,
    CountedScratch,
    Devices,
    Held,
    MaskedDevices,
    MeanDevices,
    MeanScratch,
    NumberScratch,
    PulseScratch,
)
from rpucc.target.values import MEAN, RANK_1, WITHOUT_TRAINS

if TYPE_CHECKING:
    from rpucc.runtime.plane import Plane

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
# What a weight of a list takes for each position, and one in a product of matrices, in the time in
# which a product's weight is masked: exact updates go one by one where few weights are trained.
LISTED, PRODUCT = 6, 0.125
# Draws that wait for their low bits.
TIES = 1024


def update_scratch(
    plane: Plane,
    total: int,
    positions: int,
    bl: int,
    rows: int,
    chunk: int = 0,
    *,
    one_by_one: bool = False,
) -> CountedScratch | PulseScratch | MeanScratch:
    """For an update of `rows` rows with `total` positions, `positions` of them a sample.

    chunk, how many positions the kernel takes at once, is a function of the shapes alone unless
    given, because counted updates draw their noise chunk by chunk. one_by_one: for a kernel that
    pulses one by one, whatever the devices.
    """
    if plane.pulsed in WITHOUT_TRAINS:
        return MeanScratch(
            row=np.empty((3 + len(plane.codes), plane.layout.longest_segment), np.float64),
            parts=np.empty(total, np.int32),
        )
    rows = min(rows, int(np.max(np.diff(plane.layout.row_cuts))))  # a tile's rows are done together
    bl = min(bl, TRAIN_SLOTS)  # a longer train is several positions
    if plane.device.counted and not one_by_one:
        return _counted(plane, total, bl, rows, chunk)
    return _one_by_one(plane, chunk or positions, bl, rows)


def number_scratch(plane: Plane) -> NumberScratch:
    """For an update whose numbers of pulses follow from the vectors."""
    rows, columns = plane.matrices.shape[1:]
    return NumberScratch(np.empty(columns, np.int64), np.empty(rows, np.int64), list_scratch())


def device_state(
    plane: Plane,
) -> CountedDevices | Devices | MaskedDevices | MeanDevices | ClippedDevices:
    """What the update kernels know of a plane's devices."""
    if plane.pulsed == RANK_1:
        kept = np.empty((0, 0), np.uint8) if plane.mask is None else plane.mask.view(np.uint8)
        own = plane.codes, plane.ranges, plane.constants
        return ClippedDevices(*own, kept, plane.written, plane.bounds)
    if plane.pulsed == MEAN:
        constants = plane.constants.astype(np.float64)
        trained = () if plane.mask is None else plane.mask.view(np.uint8)
        return MeanDevices(
            plane.codes, plane.ranges, constants, plane.bounds, trained, plane.written
        )
    if not plane.device.counted:
        return plain_state(plane)
    counted = CountedDevices(plane.codes, plane.ranges, plane.limits, plane.constants)
    return counted if plane.mask is None else counted._replace(kept=plane.kept)


def plain_state(plane: Plane) -> Devices | MaskedDevices:
    """The same, as kernels take it that pulse any device one by one."""
    kinds = plane.codes, plane.ranges, plane.constants
    if plane.mask is None:
        return Devices(*kinds, plane.written)
    return MaskedDevices(*kinds, plane.mask.view(np.uint8), plane.written)


def held_of(plane: Plane, positions: int) -> Held:
    """What exact updates of so many positions know of the weights that they leave what they are."""
    assert plane.mask is not None
    layout = plane.layout
    parts = [
        (*layout.row_cuts[b : b + 2], *layout.col_cuts[s : s + 2])
        for b, s in np.argwhere(layout.ids >= 0)
    ]
    merged: list[tuple[int, ...]] = []
    for part in parts:
        if merged and merged[-1][:2] == part[:2] and merged[-1][3] == part[2]:
            part = (*merged.pop()[:3], part[3])
        merged.append(part)
    steps = np.empty((HELD_ROWS, layout.shape[1]), np.float32)
    rectangles = np.array(merged, np.int64).reshape(-1, 4)
    rows, columns = np.nonzero(plane.mask)
    starts = np.searchsorted(rows, np.arange(len(plane.mask) + 1))
    one_by_one = LISTED * positions * len(columns)
    if one_by_one > plane.mask.size * (1 + PRODUCT * positions):
        columns = columns[:0]
    return Held(rectangles, plane.mask.view(np.uint8), steps, starts, columns)


def _rows_that_fire(chunk: int, rows: int) -> dict[str, Any]:
    """What both kinds need to find the rows that fire (`kernels/pulses.py`)."""
    # Vectors of 16 are written whole: hence the 16 entries behind the last one of some arrays.
    lines = chunk * rows + 32
    return {
        "chunk": chunk,
        "gains": np.empty((2, chunk), np.float32),
        "lengths": np.empty(chunk, np.int32),
        "numbers": np.empty(lines, np.int32),
        "lines": np.empty(lines, np.int32),
        "levels": np.empty(lines, np.int32),
        "fired": np.empty(lines, np.uint32),
        "tied": np.empty(lines, np.uint32),
        "draws": np.empty((4, lines), np.uint32),
        "groups": np.empty(lines, np.int32),
        "order": np.empty(lines, np.int32),
        "row_starts": np.empty(rows + 2, np.int32),
    }


def counted_chunk(plane: Plane, total: int, bl: int) -> int:
    """How many of `total` positions are counted together; bl: slots of a train."""
    words = -(-bl // SLOTS) * _padded(plane)
    return max(1, min(total, CHUNK_POSITIONS, CHUNK_WORDS // words, MOST_PULSES // bl))


def _padded(plane: Plane) -> int:
    """Columns of the widest tile, in whole blocks."""
    return -(-plane.layout.longest_segment // 16) * 16


def _counted(plane: Plane, total: int, bl: int, rows: int, chunk: int) -> CountedScratch:
    """For `kernels/coincidences/update.py`."""
    width = _padded(plane)
    bl_words = -(-bl // SLOTS)
    chunk = chunk or counted_chunk(plane, total, bl)
    pairs = chunk * bl
    devices = max(ROW_BLOCK_DEVICES, width)
    row_block = devices // width
    drawn = max(1, COLUMN_BYTES // width) * width
    return CountedScratch(
        **_rows_that_fire(chunk, rows),
        slots=np.empty((3, pairs), np.uint32),
        samples=np.empty(pairs, np.uint32),
        counters=np.empty((3, drawn // 16), np.uint32),
        words=np.empty(drawn // 4, np.uint32),
        tops=np.empty(width, np.uint8),
        marks=np.empty(width, np.int8),
        column_levels=np.empty(width, np.int32),
        ties=np.empty((5, TIES), np.uint32),
        bits=np.empty(chunk * bl_words * width, np.int16),
        signs=np.empty(chunk * width, np.int16),
        total=np.empty(devices, np.int16),
        net=np.empty(devices, np.int16),
        listed=np.empty(devices + 4 * row_block + 16, np.int32),
        row_counters=np.empty((2, devices // 4 + row_block + 32), np.uint32),
        found=np.empty((2, row_block), np.int64),
        noise=np.empty(devices + 4 * row_block + 64, np.float32),
        near=np.empty(width, np.int32),
        blocks=np.empty((row_block, 2 + width // 16), np.int32),
        sizes=np.empty(SLOTS, np.int32),
    )


def _one_by_one(plane: Plane, positions: int, bl: int, rows: int) -> PulseScratch:
    """For `devices/update_template.py.txt`."""
    columns = plane.layout.longest_segment
    width = -(-columns // 16) * 16
    chunk = max(1, min(positions, PAIR_COLUMNS // (bl * width)))
    pairs = chunk * bl
    return PulseScratch(
        **_rows_that_fire(chunk, rows),
        pairs=np.empty((chunk, bl), np.int32),
        pair_lines=np.empty(pairs, np.int32),
        pair_slots=np.empty(pairs, np.uint32),
        pair_counts=np.empty(pairs, np.int32),
        counters=np.empty((2, pairs * width // 16), np.uint32),
        words=np.empty(pairs * width // 4, np.uint32),
        signs=np.empty(pairs * width, np.int8),
        column_marks=np.empty((2, width), np.int8),
        column_levels=np.empty(width, np.int32),
        columns=np.empty(pairs * width + 16, np.int32),
        counts=np.zeros((plane.layout.tiles.shape[1], len(plane.W)), np.int64),
        noise=np.empty(pairs * columns + 128, np.float32),
        row_noise=np.zeros(width, np.float32),
        unpacked=np.zeros((1 + len(plane.codes) + plane.masked, width), np.float32),
    )
