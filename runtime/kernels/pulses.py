"""The update cycle up to the devices: which rows and columns fire in which slot.

Stochastic pulsed update of Gokmen & Vlasov 2016 (arXiv 1603.07341), equations in the plain
statement `rpucc.runtime.reference.update`. Exact shortcuts: rows whose d is 0 never fire; a slot
in which no row fires needs no column bits; a 24-bit draw's top byte decides 255 times out of 256,
so one counter serves 16 slots or columns, and the other 16 bits are drawn when they are needed.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.bits import lowest_bit
from rpucc.runtime.kernels.floats import float_of
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import UPDATE_COLUMN, UPDATE_ROW, philox
from rpucc.runtime.kernels.pulse_lanes import (
    fire16,
    keep16,
    largest16,
    levels16,
    list16,
    list_fired16,
)
from rpucc.runtime.scalars import pulses as scalars

f32 = nb.float32
i32 = nb.int32
u32 = nb.uint32

# A line fires when a 24-bit draw lies below probability * 2^24 (so the resolution is 6e-8).
_SCALE = 16777216.0
# A train's slots are bits of a 32-bit word; a longer train is several, one after another.
TRAIN_SLOTS = 31
# Marks the counters that give the low 16 bits of a draw, where its top byte does not decide.
_REST = u32(0x80000000)


@inlined
def _largest(values):
    high = i32(0)
    for a in range(0, values.shape[0], 16):
        high = max(high, largest16(values, a, values.shape[0]))
    return float_of(high)


_gains = inlined(scalars.gains)
_first_byte = inlined(scalars.first_byte)


@kernel
def pulse_gains(x, d, lr, dw_min, bl_max, managed, bl_managed):
    """(BL, Cx, Cd) of one update, as `scalars.pulses.gains` has them."""
    return _gains(_largest(x), _largest(d), lr, dw_min, bl_max, managed, bl_managed)


@inlined
def train_count(bl_max):
    """How many trains of up to TRAIN_SLOTS slots the slots of one position make."""
    return (bl_max + TRAIN_SLOTS - 1) // TRAIN_SLOTS


@kernel
def all_gains(X, D, m, length, lr, dw_min, bl_max, managed, bl_managed, gains, lengths):
    """`pulse_gains` of the rows m .. m + length - 1 of X [M, C] and D [M, R].

    lengths[i]: slots; gains[0, i]: Cd; gains[1, i]: Cx. Where bl_max is above TRAIN_SLOTS, X and D
    hold every position `train_count(bl_max)` times in a row, once for each of its trains.
    """
    cd, cx = gains[0], gains[1]
    trains = train_count(bl_max)
    for i in range(length):
        cd[i] = _largest(D[m + i])
        cx[i] = _largest(X[m + i]) if managed or bl_managed else f32(1)
    for i in range(length):
        bl, x_gain, d_gain = _gains(cx[i], cd[i], lr, dw_min, bl_max, managed, bl_managed)
        before = i32((m + i) % trains) * i32(TRAIN_SLOTS)
        lengths[i] = min(max(bl - before, i32(0)), i32(TRAIN_SLOTS))
        cx[i] = x_gain
        cd[i] = d_gain


@inlined
def low_bits(c0, c1, c2, sample, k0, k1):
    """The low 16 bits of a draw whose top byte decided nothing (1 of 256)."""
    a, _, _, _ = philox(
        u32(c0), u32(u32(c1) | _REST), u32(c2), u32(sample), u32(k0), u32(k1)
    )  # fmt: skip
    return i32(a >> u32(16))


@kernel
def list_lines(D, m, length, o0, o1, gains, lengths, lines, levels):
    """The lines of fire_rows that can fire at all: d != 0 (1 of 4 after a 2 x 2 max pool).

    Line j is row o0 + (lines[j] & 0xFFFF) at position p + (lines[j] >> 16). Returns their number.
    """
    rows = o1 - o0
    live = 0
    for i in range(length):
        if lengths[i] == 0:
            continue
        d = D[m + i, o0:o1]
        for a in range(0, rows, 16):
            live += list16(d, a, rows, gains[i] * f32(_SCALE), i << 16, live, lines, levels)
    return live


@kernel
def _compare_slot(slot, live, words, levels, fired, tied):
    """Set the bit of `slot` for the lines that fire in it, and for those that are undecided."""
    shift, bit = i32((slot & 3) * 8), i32(1) << i32(slot)
    for j in range(live):
        byte = i32((i32(words[j]) >> shift) & i32(255))
        fired[j] = i32(fired[j]) | (bit if byte < _first_byte(levels[j]) else i32(0))
    for j in range(live):
        byte = i32((i32(words[j]) >> shift) & i32(255))
        tied[j] = i32(tied[j]) | (bit if byte == _first_byte(levels[j]) else i32(0))


@kernel
def fire_rows(
    D, m, length, o0, o1, row0, gains, lengths, p, tile_rows, tile_word, sample, k0, k1,
    numbers, lines, levels, fired, tied, draws,
):  # fmt: skip
    """Which rows fire at the positions p .. p + length - 1 of one sample, and in which slots.

    D: float32 [M, R], of which rows m .. m + length - 1 and columns o0 .. o1 - 1 are used;
    row0: the tile's first row, tile_rows: its rows (they address the draws); gains, lengths:
    Cd and BL of each position. Scratch numbers, lines, levels, fired,
    tied, draws [4, ..]: one entry a line. Returns the number of events: event e is the firing of
    line lines[e] (as list_lines has it) in the slots whose bits are set in fired[e].

    16 slots share a counter, one byte each; see _first_byte.
    """
    live = list_lines(D, m, length, o0, o1, gains, lengths, lines, levels)
    longest, shortest = 0, 31
    for i in range(length):
        longest = max(longest, lengths[i])
        if lengths[i] > 0:
            shortest = min(shortest, lengths[i])
    first = u32(p * tile_rows + o0 - row0)
    word = u32(u32(UPDATE_ROW << 24) | u32(tile_word))
    fired[:live] = u32(0)
    tied[:live] = u32(0)
    for block in range((longest + 15) // 16):
        for j in range(live):
            line = u32(lines[j])
            a, b, c, e = philox(
                u32(first + (line >> u32(16)) * u32(tile_rows) + (line & u32(0xFFFF))),
                u32(block), word, u32(sample), u32(k0), u32(k1),
            )  # fmt: skip
            draws[0, j] = a
            draws[1, j] = b
            draws[2, j] = c
            draws[3, j] = e
        for slot in range(block * 16, min(longest, block * 16 + 16)):
            _compare_slot(slot, live, draws[(slot >> 2) & 3], levels, fired, tied)
    if shortest < longest:
        for j in range(live):
            used = u32((1 << lengths[u32(lines[j]) >> u32(16)]) - 1)
            fired[j] &= used
            tied[j] &= used
    _settle_rows(
        live, first, tile_rows, word, sample, k0, k1, numbers, lines, levels, fired, tied,
    )  # fmt: skip
    fired[live : live + 16] = u32(0)
    events = 0
    for a in range(0, live, 16):
        events += keep16(fired, lines, a, events)
    return events


@kernel
def _settle_rows(live, first, tile_rows, word, sample, k0, k1, numbers, lines, levels, fired, tied):
    """Draw the rest of the lines and slots whose first byte was the limit's."""
    for j in range(live):
        numbers[j] = j
    tied[live : live + 16] = u32(0)
    n = 0
    for a in range(0, live, 16):
        n += keep16(tied, numbers, a, n)
    for q in range(n):
        j = numbers[q]
        line, bits, slot = u32(lines[j]), tied[q], 0
        c0 = first + (line >> u32(16)) * u32(tile_rows) + (line & u32(0xFFFF))
        below = levels[j] - (_first_byte(levels[j]) << i32(16))
        while bits != u32(0):
            if bits & u32(1) and low_bits(c0, slot, word, sample, k0, k1) < below:
                fired[j] |= u32(1) << u32(slot)
            bits >>= u32(1)
            slot += 1


@kernel
def list_pairs(events, p, bl, lines, fired, groups, pairs, pair_lines, pair_slots):
    """Number the (position, slot) pairs in which some row fires.

    events, lines, fired: from `fire_rows`. Event e belongs to group groups[e] (its position);
    pairs[group, slot] is a pair's number (-1: no row fires). Returns how many pairs there are.
    """
    e = 0
    group = 0
    n = 0
    while e < events:
        i = u32(lines[e]) >> u32(16)
        union = u32(0)
        while e < events and u32(lines[e]) >> u32(16) == i:
            union |= fired[e]
            groups[e] = group
            e += 1
        for slot in range(bl):
            pairs[group, slot] = -1
            if (union >> u32(slot)) & u32(1):
                pairs[group, slot] = n
                pair_lines[n] = i
                pair_slots[n] = (p + i) << 5 | slot
                n += 1
        group += 1
    return n


@kernel
def draw_columns(pairs, blocks, pair_slots, word, sample, k0, k1, counters, words):
    """The random bytes of all pairs' columns: 16 columns share a counter (column >> 4, pair)."""
    j = 0
    for pair in range(pairs):
        for block in range(blocks):
            counters[0, j] = block
            counters[1, j] = pair_slots[pair]
            j += 1
    blocks_of, pairs_of = counters[0], counters[1]
    for j in range(pairs * blocks):
        a, b, c, e = philox(blocks_of[j], pairs_of[j], word, u32(sample), u32(k0), u32(k1))
        words[4 * j] = a
        words[4 * j + 1] = b
        words[4 * j + 2] = c
        words[4 * j + 3] = e


@kernel
def _settle_columns(a, tied, o, tops, sign, levels, word, sample, k0, k1, index, out, columns, n):
    """Decide those of the columns a .. a + 15 that are tied, and list the ones that fire anew."""
    while tied != u32(0):
        c = a + lowest_bit(tied)
        tied = u32(tied & (tied - u32(1)))
        below = levels[c] - (i32(tops[c]) << i32(16))
        if low_bits(c, index, word, sample, k0, k1) < below:
            out[o + c] = sign[c]
    return list_fired16(out, o, a, columns, n)


@kernel
def fire_columns(
    X, m, c0, c1, gains, pairs, tile_word, sample, k0, k1, pair_lines, pair_slots, counters, words,
    signs, marks, levels, counts, columns,
):  # fmt: skip
    """The columns that fire, for each of the pairs that `list_pairs` found.

    Pair q's columns are columns[q * width : q * width + counts[q]], where width is the tile's
    number of columns rounded up to 16, and signs[q * width + c] is the sign of a firing column's
    x, 0 where column c does not fire. Scratch: marks, levels: one entry a column; counters, words.
    """
    word = u32(u32(UPDATE_COLUMN << 24) | u32(tile_word))
    blocks = (c1 - c0 + 15) >> 4
    draw_columns(pairs, blocks, pair_slots, word, sample, k0, k1, counters, words)
    draws = words.view(np.uint8)
    n, width = c1 - c0, blocks * 16
    tops, sign = marks[0].view(np.uint8), marks[1]
    i = -1
    for q in range(pairs):
        if pair_lines[q] != i:
            i = pair_lines[q]
            x = X[m + i, c0:c1]
            for a in range(0, n, 16):
                levels16(x, a, n, gains[i] * f32(_SCALE), levels, tops, sign)
        o = q * width
        count = 0
        for a in range(0, n, 16):
            found = fire16(draws, o, a, tops, sign, signs, columns, o + count)
            if found >> 32:
                found = _settle_columns(
                    a, u32(found >> 32), o, tops, sign, levels, word, sample, k0, k1, pair_slots[q],
                    signs, columns, o + count,
                )  # fmt: skip
            count += found
        counts[q] = count


@kernel
def sort_by_row(events, rows, lines, order, row_starts):
    """Counting sort: row r's events are order[row_starts[r] : row_starts[r + 1]], by position."""
    for r in range(rows + 1):
        row_starts[r] = 0
    for e in range(events):
        row_starts[(u32(lines[e]) & u32(0xFFFF)) + 1] += 1
    for r in range(rows):
        row_starts[r + 1] += row_starts[r]
    for e in range(events):
        r = u32(lines[e]) & u32(0xFFFF)
        order[row_starts[r]] = e
        row_starts[r] += 1
    for r in range(rows, 0, -1):
        row_starts[r] = row_starts[r - 1]
    row_starts[0] = 0
