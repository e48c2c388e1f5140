"""How many pulses devices get where values are written by one pulsed update a column."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.floats import whole
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import REFRESH_COLUMN, REFRESH_ROW, fill_words
from rpucc.runtime.scalars.pulses import gains

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32

_gains = inlined(gains)


@inlined
def _level(p):
    """The 24-bit threshold of a probability."""
    return whole(min(p, f32(1)) * f32(16777216.0), f32(16777216.0))


@kernel
def count_pulses(wanted, counts, tiles, granularity, slots, sample, k0, k1, words):
    """Write to counts [R, C] in how many slots each device of wanted [R, C] fires.

    Column k of a tile of R rows is one update at rate 1 with x = 1 at k alone and d = the column,
    under UM and UBLM, of `slots` slots at most: its line fires in slot i by word k slots + i of the
    tile's column stream, row r by word (k R + r) slots + i of its row stream. words: scratch
    uint32 [2, slots + 128].
    """
    for b in range(tiles.row_cuts.shape[0] - 1):
        row0, row1 = tiles.row_cuts[b], tiles.row_cuts[b + 1]
        for s in range(tiles.col_cuts.shape[0] - 1):
            if tiles.ids[b, s] < 0:  # not there
                continue
            tile = u32(tiles.ids[b, s])
            column_word = i64(u32(u32(REFRESH_COLUMN << 24) | tile))
            row_word = i64(u32(u32(REFRESH_ROW << 24) | tile))
            for c in range(tiles.col_cuts[s], tiles.col_cuts[s + 1]):
                largest = f32(0)
                for r in range(row0, row1):
                    largest = max(largest, abs(wanted[r, c]))
                if largest == f32(0):
                    continue
                # More than all slots carry: the line fires in each, the largest rows saturate.
                most = min(largest, f32(slots) * granularity)
                bl, x_gain, d_gain = _gains(f32(1), most, f32(1), granularity, slots, True, True)
                k = i64(c - tiles.col_cuts[s])
                at = k * slots
                fill_words(words[0], at, bl, 0, column_word, sample, i64(k0), i64(k1))
                columns, level = words[0, at & 63 :], _level(x_gain)
                for r in range(row0, row1):
                    if wanted[r, c] == f32(0):
                        continue
                    first = (k * (row1 - row0) + r - row0) * slots
                    fill_words(words[1], first, bl, 0, row_word, sample, i64(k0), i64(k1))
                    rows, row_level = words[1, first & 63 :], _level(d_gain * abs(wanted[r, c]))
                    count = 0
                    for i in range(bl):
                        both = (i32(columns[i] >> u32(8)) < level) & (
                            i32(rows[i] >> u32(8)) < row_level
                        )
                        count += 1 if both else 0
                    counts[r, c] = count
