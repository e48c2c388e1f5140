"""The update cycle up to the devices: which rows and columns fire in which slot.

Stochastic pulsed update of Gokmen & Vlasov 2016 (arXiv 1603.07341), equations in the plain
statement `rpucc.runtime.reference.update`. Exact shortcuts: rows whose d is 0 never fire; a slot
in which no row fires needs no column bits.
"""

from __future__ import annotations

import math

import numba as nb

from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import UPDATE_COLUMN, UPDATE_ROW, fill_words, philox

f32 = nb.float32
i32 = nb.int32
u32 = nb.uint32

# A line fires when a 24-bit draw lies below probability * 2^24 (so the resolution is 6e-8).
_SCALE = 16777216.0


@kernel
def pulse_gains(x, d, lr, dw_min, bl_max, managed, bl_managed):
    """(BL, Cx, Cd) of one update; BL = 0 where nothing can fire.

    k = sqrt(lr / (BL dw_min)); Cx = Cd = k, or with update management
    Cx = k sqrt(d_max / x_max), Cd = k sqrt(x_max / d_max); update BL management takes the
    smallest BL that can carry lr x_max d_max (Gokmen et al. 2017).
    """
    d_max = f32(0)
    for value in d:
        d_max = max(d_max, abs(value))
    if d_max == f32(0):
        return 0, f32(0), f32(0)
    bl = bl_max
    ratio = f32(1)
    if managed or bl_managed:
        x_max = f32(0)
        for value in x:
            x_max = max(x_max, abs(value))
        if x_max == f32(0):
            return 0, f32(0), f32(0)
        if bl_managed:
            needed = math.ceil(lr * x_max * d_max / dw_min)
            bl = min(bl_max, max(1, nb.int64(min(needed, f32(bl_max)))))
        if managed:
            ratio = math.sqrt(d_max / x_max)
    k = math.sqrt(lr / (f32(bl) * dw_min))
    return bl, k * ratio, k / ratio


@kernel
def fire_rows(
    D, m, length, o0, o1, row0, gains, lengths, p, tile_rows, tile_word, sample, k0, k1,
    lines, limits, fired,
):  # fmt: skip
    """Which rows fire at the positions p .. p + length - 1 of one sample, and in which slots.

    D: float32 [M, R], of which rows m .. m + length - 1 and columns o0 .. o1 - 1 are used;
    row0: the tile's first row, tile_rows: its rows (they address the draws); gains, lengths:
    Cd and BL of each position. Scratch lines, limits, fired: [length * (o1 - o0) + 1].
    Returns the number of events: event e is the firing of row o0 + (lines[e] & 0xFFFF) at
    position p + (lines[e] >> 16) in the slots whose bits are set in fired[e]; in that order.

    Lines with d = 0 are left out first, so that the draws run over one dense list of lines.
    """
    live = 0
    longest = 0
    for i in range(length):
        if lengths[i] == 0:
            continue
        gain = gains[i] * f32(_SCALE)
        longest = max(longest, lengths[i])
        for r in range(o0, o1):
            d = D[m + i, r]
            lines[live] = u32(i << 16 | (r - o0))
            limits[live] = abs(d) * gain
            live += 1 if d != f32(0) else 0
    first = u32(p * tile_rows + o0 - row0)
    word = u32(u32(UPDATE_ROW << 24) | u32(tile_word))
    for j in range(live):
        fired[j] = u32(0)
    for block in range((longest + 3) // 4):
        shift = u32(block * 4)
        for j in range(live):
            line = lines[j]
            a, b, c, e = philox(
                u32(first + (line >> u32(16)) * u32(tile_rows) + (line & u32(0xFFFF))),
                u32(block), word, u32(sample), u32(k0), u32(k1),
            )  # fmt: skip
            limit = limits[j]
            hits = u32(1) if f32(i32(a >> u32(8))) < limit else u32(0)
            hits |= u32(2) if f32(i32(b >> u32(8))) < limit else u32(0)
            hits |= u32(4) if f32(i32(c >> u32(8))) < limit else u32(0)
            hits |= u32(8) if f32(i32(e >> u32(8))) < limit else u32(0)
            fired[j] |= u32(hits << shift)
    events = 0
    for j in range(live):
        line = lines[j]
        slots = fired[j] & u32((1 << lengths[line >> u32(16)]) - 1)
        lines[events] = line
        fired[events] = slots
        events += 1 if slots != u32(0) else 0
    return events


@kernel
def fire_columns(x, gain, index, tile_word, sample, k0, k1, words, fired):
    """The columns that fire in one slot: fired[q] = column << 1 | (x < 0), in column order.

    x: float32 [C] of one tile; index = position << 5 | slot. Scratch: words uint32 [C + 64].
    Returns how many fire.
    """
    fill_words(words, 0, x.shape[0], index, u32(UPDATE_COLUMN << 24 | tile_word), sample, k0, k1)
    scale = gain * f32(_SCALE)
    n = 0
    for c in range(x.shape[0]):
        hit = f32(i32(words[c] >> u32(8))) < abs(x[c]) * scale
        fired[n] = i32(c << 1) | i32(1 if x[c] < f32(0) else 0)
        n += 1 if hit else 0
    return n


@kernel
def fire_all_columns(
    X, m, c0, c1, gains, p, bl, tile_word, sample, k0, k1, events, lines, fired, groups, starts,
    columns, words,
):  # fmt: skip
    """The columns that fire, for every position and slot in which some row does.

    events, lines, fired: from `fire_rows`. Event e belongs to group groups[e] (its position);
    group g's columns in a slot are columns[starts[g, slot] : starts[g, slot + 1]].
    """
    e = 0
    group = 0
    n = 0
    while e < events:
        i = lines[e] >> u32(16)
        union = u32(0)
        while e < events and lines[e] >> u32(16) == i:
            union |= fired[e]
            groups[e] = group
            e += 1
        for slot in range(bl):
            starts[group, slot] = n
            if (union >> u32(slot)) & u32(1):
                n += fire_columns(
                    X[m + i, c0:c1], gains[i], (p + i) << 5 | slot, tile_word, sample, k0, k1,
                    words, columns[n:],
                )  # fmt: skip
        starts[group, bl] = n
        group += 1


@kernel
def sort_by_row(events, rows, lines, order, row_starts):
    """Counting sort: row r's events are order[row_starts[r] : row_starts[r + 1]], by position."""
    for r in range(rows + 1):
        row_starts[r] = 0
    for e in range(events):
        row_starts[(lines[e] & u32(0xFFFF)) + 1] += 1
    for r in range(rows):
        row_starts[r + 1] += row_starts[r]
    for e in range(events):
        r = lines[e] & u32(0xFFFF)
        order[row_starts[r]] = e
        row_starts[r] += 1
    for r in range(rows, 0, -1):
        row_starts[r] = row_starts[r - 1]
    row_starts[0] = 0
