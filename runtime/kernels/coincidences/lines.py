"""Counted updates: which lines of a tile fire, for many positions at once, as bits.

The draws are those of `rpucc.runtime.kernels.pulses`; a position's slots become the bits of 16-bit
words, so that coincidences are counted by `ones(row & column)`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.coincidences.lanes import fire_bits16
from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import philox
from rpucc.runtime.kernels.pulse_lanes import levels16
from rpucc.runtime.kernels.pulses import fire_rows, low_bits

f32 = nb.float32
i32 = nb.int32
u32 = nb.uint32


@kernel
def fire_chunk(
    D, m, length, o0, o1, row0, gains, lengths, positions, sample0, tile_rows, tile, k0, k1,
    numbers, lines, levels, fired, tied, draws,
):  # fmt: skip
    """`fire_rows` for positions of several samples; lines count positions from row m of D on."""
    events = 0
    i = 0
    while i < length:
        p = (m + i) % positions
        run = min(length - i, positions - p)
        new = fire_rows(
            D, m + i, run, o0, o1, row0, gains[i:], lengths[i:], p, tile_rows, tile,
            u32(sample0 + (m + i) // positions), k0, k1, numbers, lines[events:], levels,
            fired[events:], tied, draws,
        )  # fmt: skip
        for e in range(events, events + new):
            lines[e] += i << 16
        events += new
        i += run
    return events


@kernel
def list_pairs(events, m, positions, sample0, bl, lines, fired, groups, slots, samples):
    """Number the (position, slot) pairs in which some row fires; returns how many.

    groups[e]: which of the positions with an event is event e's. Of pair q: slots[0, q] its group,
    slots[1, q] its position in the chunk, slots[2, q] position << 5 | slot as draws name it.
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
            if (union >> u32(slot)) & u32(1):
                slots[0, n] = group
                slots[1, n] = i
                slots[2, n] = ((m + i) % positions) << 5 | slot
                samples[n] = sample0 + (m + i) // positions
                n += 1
        group += 1
    return n


@kernel
def _draw_columns(q0, q1, blocks, slots, samples, word, k0, k1, counters, words):
    """The random bytes of the columns of pairs q0 .. q1 - 1: 16 columns share a counter."""
    j = 0
    for q in range(q0, q1):
        for block in range(blocks):
            counters[0, j] = block
            counters[1, j] = slots[2, q]
            counters[2, j] = samples[q]
            j += 1
    blocks_of, slots_of, samples_of = counters[0], counters[1], counters[2]
    for j in range((q1 - q0) * blocks):
        a, b, c, e = philox(blocks_of[j], slots_of[j], word, samples_of[j], k0, k1)
        words[4 * j] = a
        words[4 * j + 1] = b
        words[4 * j + 2] = c
        words[4 * j + 3] = e


@kernel
def _settle(n, ties, word, k0, k1, bits):
    """Draw the low 16 bits of the n tied draws and set the bits of those that fire."""
    columns, slots, samples, below, places = ties[0], ties[1], ties[2], ties[3], ties[4]
    for j in range(n):
        rest = low_bits(columns[j], slots[j], word, samples[j], k0, k1)
        below[j] = i32(1) if rest < i32(below[j]) else i32(0)
    for j in range(n):
        if below[j] != u32(0):
            bits[places[j]] |= 1 << (slots[j] & u32(15))


@kernel
def fire_columns(
    X, m, c0, c1, width, gains, pairs, bl_words, word, k0, k1, slots, samples, counters, words,
    tops, marks, levels, ties, bits, signs,
):  # fmt: skip
    """The slots in which each column fires, of those in which some row of its position does.

    bits [groups * bl_words * width]: 16 slots a word; signs [groups * width]: -1 where x < 0.
    """
    n, blocks = c1 - c0, (c1 - c0 + 15) >> 4
    draws = words.view(nb.uint8)
    batch = max(1, words.shape[0] // (4 * blocks))
    group, tied = -1, 0
    for q0 in range(0, pairs, batch):
        q1 = min(pairs, q0 + batch)
        _draw_columns(q0, q1, blocks, slots, samples, word, k0, k1, counters, words)
        for q in range(q0, q1):
            if slots[0, q] != group:
                group = slots[0, q]
                i = slots[1, q]
                x = X[m + i, c0:c1]
                for a in range(0, n, 16):
                    levels16(x, a, n, gains[i] * f32(16777216.0), levels, tops, marks)
                sign = signs[group * width : group * width + width]
                for c in range(n):
                    sign[c] = -1 if x[c] < f32(0) else 0
                bits[group * bl_words * width : (group + 1) * bl_words * width] = 0
            slot = slots[2, q] & 31
            b = (group * bl_words + (slot >> 4)) * width
            bit = 1 << (slot & 15)
            o = (q - q0) * blocks * 16
            for a in range(0, n, 16):
                undecided = fire_bits16(draws, o + a, tops, a, bit, bits, b + a)
                c = a
                while undecided != 0 and c < n:
                    if undecided & 1:
                        ties[0, tied] = c
                        ties[1, tied] = slots[2, q]
                        ties[2, tied] = samples[q]
                        ties[3, tied] = levels[c] - (i32(tops[c]) << 16)
                        ties[4, tied] = b + c
                        tied += 1
                    undecided >>= 1
                    c += 1
                if tied + 16 > ties.shape[1]:
                    _settle(tied, ties, word, k0, k1, bits)
                    tied = 0
    _settle(tied, ties, word, k0, k1, bits)
