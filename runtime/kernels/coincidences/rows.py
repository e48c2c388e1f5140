"""Counted updates: a row's coincidences, their noise, and the step of its devices.

How the counts move a weight, and which devices are pulsed one by one: see `update.py`.
"""

from __future__ import annotations

import math

import numba as nb

from rpucc.runtime.kernels.coincidences.lanes import (
    coincide16,
    entry,
    fill16,
    interleave16,
    kept16,
    kept_pulses16,
    popcount,
    present16,
    step_many16,
    step_one16,
    step_one_bounded16,
    tally16,
)
from rpucc.runtime.kernels.floats import whole
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import box_muller
from rpucc.runtime.kernels.philox import philox

f32 = nb.float32
i32 = nb.int32
u32 = nb.uint32

# Standard deviations of pulse noise that a device must be able to hold to count as free.
REACH = f32(7)
# Slots in a word of firing bits.
SLOTS = 16


@kernel
def row_normals(n, counters, word, sample, k0, k1, noise):
    """Four normals for each of n counters, side by side in noise; 16 counters at a time.

    word, sample, k0, k1: int64, with which LLVM chooses the faster vectors (by a quarter).
    """
    for j in range(0, n, 16):
        o = noise[4 * j : 4 * j + 64]
        first, second = counters[0, j : j + 16], counters[1, j : j + 16]
        for i in range(16):
            a, b, c, d = philox(first[i], second[i], u32(word), u32(sample), u32(k0), u32(k1))
            z0, z1 = box_muller(a, b)
            z2, z3 = box_muller(c, d)
            o[i] = z0
            o[i + 16] = z1
            o[i + 32] = z2
            o[i + 48] = z3
        interleave16(noise, 4 * j)


@inlined
def name_normals(counters, n, here, index):
    """List the counters of a row's `here` normals, from normal n on; where the next row's start."""
    first, second = counters[0], counters[1]
    for j in range(0, (here + 3) >> 2, 16):
        fill16(first, (n >> 2) + j, j, 1)
        fill16(second, (n >> 2) + j, index, 0)
    return n + (here + 3) // 4 * 4


@inlined
def spread(noise, counts, n, std):
    """noise = counts + std sqrt(counts) noise: pulses with the noise of that many, in steps."""
    for j in range(n):
        count = f32(counts[j])
        noise[j] = count + std * math.sqrt(count) * noise[j]


@inlined
def limit_unit(ranges):
    """What a step of a tile's limits stands for; ranges [4, 2] as in `update`."""
    return (ranges[2, 0] + f32(65535) * ranges[2, 1]) * f32(1 / 255)


@kernel
def tightest(codes, ranges, row_cuts, col_cuts, limits):
    """limits [R, C], 8 bits: the lesser of w_max and -w_min of each device, rounded down.

    In steps of its tile's `limit_unit`, 1/255 of the highest w_max there.
    """
    for b in range(row_cuts.shape[0] - 1):
        for s in range(col_cuts.shape[0] - 1):
            high, low = ranges[b, s, 2], ranges[b, s, 3]
            # Codes are made floats again with one rounding more or less than here.
            steps = f32(1 - 1e-6) / limit_unit(ranges[b, s])
            for r in range(row_cuts[b], row_cuts[b + 1]):
                for c in range(col_cuts[s], col_cuts[s + 1]):
                    w_max = f32(codes[2, r, c]) * high[1] + high[0]
                    w_min = f32(codes[3, r, c]) * low[1] + low[0]
                    tight = max(f32(0), min(w_max, -w_min)) * steps
                    limits[r, c] = nb.uint8(whole(tight, f32(255)))


@kernel
def count_one(row, columns, bits, listed, n, blocks, k):
    """Coincidences of a row that has a single event; the ones that are not 0 go to listed[n:].

    blocks[k, 1:]: the blocks of 16 columns with any, as their number << 16 | which columns;
    blocks[k, 0]: how many those are. Returns how many devices are pulsed.
    """
    here, found = 0, 1
    for a in range(0, columns, 16):
        new = coincide16(row, bits, a, listed, n + here)
        pulsed = new & 0xFFFF
        blocks[k, found] = a << 12 | pulsed
        found += 1 if pulsed else 0
        here += new >> 16
    blocks[k, 0] = found - 1
    return here


@kernel
def count_kept(row, columns, bits, kept, at):
    """The pulses of the devices of such a row that are trained."""
    pulses = 0
    for a in range(0, columns, 16):
        pulses += kept_pulses16(row, bits, a, kept16(kept, at + (a >> 4)))
    return pulses


@kernel
def count_slots(columns, bl, bits, sizes):
    """sizes[slot]: how many columns fire in it."""
    for slot in range(bl):
        size = 0
        for c in range(columns):
            size += i32((bits[c] >> slot) & 1)
        sizes[slot] = size


@kernel
def count_many(
    order, first, last, columns, width, bl_words, D, m, r, lines, fired, groups, bits, signs,
    total, net, t, kept, at,
):  # fmt: skip
    """Coincidences of a row with several events: all of them, and those up less those down.

    kept, at: which devices are trained, those of the row from at on. Returns how many devices are
    pulsed, and from bit 32 on the pulses of those that are trained.
    """
    total[t : t + width] = 0
    net[t : t + width] = 0
    for k in range(first, last):
        e = order[k]
        g = groups[e]
        flip = 0 if D[m + (u32(lines[e]) >> u32(16)), r] < f32(0) else -1
        for v in range(bl_words):
            row = fired[e] >> u32(SLOTS * v)
            o = (g * bl_words + v) * width
            for a in range(0, columns, 16):
                tally16(row, bits, signs, o + a, g * width + a, flip, total, net, t + a)
    here = 0
    for a in range(0, columns, 16):
        here += present16(total, t + a, kept16(kept, at + (a >> 4)))
    return here


@inlined
def _list_lanes(lanes, first, near, found):
    """Append first + i for every bit i of `lanes` to near[found:]; how many there are then."""
    while lanes != 0:
        if lanes & 1:
            near[found] = first
            found += 1
        lanes >>= 1
        first += 1
    return found


@kernel
def step_one(
    W, codes, o, plane, row, bits, signs, flip, noise, at, ranges, std, limits, blocks, k, near,
    kept, kept_at,
):  # fmt: skip
    """Apply the counts of a row with a single event; returns how many devices near[:] got none."""
    found = 0
    reach = f32(1) + REACH * std
    # Of the most pulses that a device of the row can get; rounded up.
    row_reach = reach * f32(popcount(row)) * f32(1.00001)
    unit = limit_unit(ranges)
    for i in range(1, blocks[k, 0] + 1):
        here = entry(blocks, k * blocks.shape[1] + i)
        a, pulsed = here >> 16 << 4, here & 0xFFFF
        trained = kept16(kept, kept_at + (a >> 4))
        if step_one16(
            W, codes, o + a, plane, a, pulsed, signs, flip, noise, at, ranges, limits, unit,
            row_reach, trained,
        ):  # fmt: skip
            left = step_one_bounded16(
                W, codes, o + a, plane, a, pulsed, signs, flip, noise, at, ranges, row, bits, reach,
                trained,
            )  # fmt: skip
            if left:
                found = _list_lanes(left, a, near, found)
        at += popcount(pulsed)
    return found


@kernel
def step_many(
    W, codes, o, plane, columns, total, t, net, noise, at, ranges, std, near, kept, kept_at
):
    """The same for a row with several events."""
    found = 0
    for a in range(0, columns, 16):
        done = step_many16(
            W, codes, o + a, plane, a, columns, total, t + a, net, noise, at, ranges, std, REACH,
            kept16(kept, kept_at + (a >> 4)),
        )  # fmt: skip
        at += done & 0xFFFFFFFF
        if done >> 32:
            found = _list_lanes(done >> 32, a, near, found)
    return found
