"""The pulsed update of constant-step devices by counting coincidences.

A step that does not depend on the weight lets all pulses of an update be added at once. Between
the bounds, `up` up pulses and `down` down pulses in any order move a weight by

    up dw_up - down dw_down + std sqrt(up dw_up² + down dw_down²) ξ,    ξ ~ N(0, 1),

because sums of independent normals are normal: the same distribution as pulse by pulse, with one
draw a device. Rows and columns fire as in `rpucc.runtime.kernels.pulses`. A device that could
meet one of its bounds on the way is pulsed one by one instead (`replay.py`); "could" means that
all of its pulses towards that bound and 7 standard deviations of noise reach it: by the reflection
principle the rest clips with a probability below 3e-12. The plain statement of the same
computation is `rpucc.runtime.reference.coincidences`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.coincidences.lanes import has_mask
from rpucc.runtime.kernels.coincidences.lines import fire_chunk, fire_columns, list_pairs
from rpucc.runtime.kernels.coincidences.replay import replay
from rpucc.runtime.kernels.coincidences.rows import (
    SLOTS,
    count_kept,
    count_many,
    count_one,
    count_slots,
    name_normals,
    row_normals,
    spread,
    step_many,
    step_one,
)
from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import PULSE_NOISE, PULSE_REPLAY, UPDATE_COLUMN
from rpucc.runtime.kernels.pulses import TRAIN_SLOTS, all_gains, sort_by_row

f32 = nb.float32
i64 = nb.int64
u32 = nb.uint32


@kernel
def update(r0, r1, W, devices, X, D, lr, policy, layout, address, span, scratch):
    """Pulse rows r0 .. r1 - 1 of W [G·R, C] with rows span.first .. span.last - 1 of X and D.

    G matrices lie one below the other, each with its own inputs X [G, M, C] and errors D [G, M, R];
    the row cuts are the borders of all of them. The arguments are those of `update_arguments.py`.
    Row m of a group's X and D is position m % positions of sample sample0 + m // positions; one of
    several trains of a position counts as a position. Every tile has its own row and column
    streams; scratch.chunk rows of X are counted together. Devices that are not `kept` have their
    draws, so that those of the others are the same, and no pulses. Returns the number of pulses.
    """
    codes, ranges, limits, constants, kept, _ = devices
    dw_min, bl_max, managed, bl_managed, _, _ = policy
    row_cuts, col_cuts, tiles = layout
    positions, k0, k1 = address
    sample0 = span.sample0
    (
        chunk, gains, lengths, numbers, lines, levels, fired, tied, draws, groups, order,
        row_starts, slots, samples, counters, words, tops, marks, column_levels, ties, bits, signs,
        total, net, listed, row_counters, found, noise, near, blocks, sizes,
    ) = scratch  # fmt: skip
    pulses = 0
    std = constants[0]
    # Flat, because a view of every row would be counted in and out by the memory manager.
    weights, params, flat_limits = W.reshape(-1), codes.reshape(-1), limits.reshape(-1)
    plane = W.size
    sample = u32(span.noise_sample)
    bl = min(bl_max, TRAIN_SLOTS)  # of one train; all_gains has the rest
    bl_words = (bl + SLOTS - 1) // SLOTS
    kept_blocks = tops.shape[0] // 16
    for b in range(row_cuts.shape[0] - 1):
        o0, o1 = max(r0, row_cuts[b]), min(r1, row_cuts[b + 1])
        if o0 >= o1:
            continue
        tile_rows = row_cuts[b + 1] - row_cuts[b]
        group = o0 // D.shape[2]
        base = group * D.shape[2]
        x, d = X[group], D[group]
        for s in range(col_cuts.shape[0] - 1):
            if tiles[b, s] < 0:  # not there
                continue
            c0, c1 = col_cuts[s], col_cuts[s + 1]
            columns = c1 - c0
            tile_ranges = ranges[b, s]
            width = (columns + 15) // 16 * 16
            row_block = found.shape[1]
            tile = u32(tiles[b, s])
            column_word = u32(u32(UPDATE_COLUMN << 24) | tile)
            noise_word = u32(u32(PULSE_NOISE << 24) | tile)
            replay_word = u32(u32(PULSE_REPLAY << 24) | tile)
            for m in range(span.first, span.last, chunk):
                length = min(chunk, span.last - m)
                all_gains(x, d, m, length, lr, dw_min, bl_max, managed, bl_managed, gains, lengths)
                events = fire_chunk(
                    d,
                    m,
                    length,
                    o0 - base,
                    o1 - base,
                    row_cuts[b] - base,
                    gains[0],
                    lengths,
                    positions,
                    sample0,
                    tile_rows,
                    tile,
                    k0,
                    k1,
                    numbers,
                    lines,
                    levels,
                    fired,
                    tied,
                    draws,
                )
                if events == 0:
                    continue
                pairs = list_pairs(
                    events, m, positions, sample0, bl, lines, fired, groups, slots, samples
                )
                fire_columns(
                    x, m, c0, c1, width, gains[1], pairs, bl_words, column_word, k0, k1, slots,
                    samples, counters, words, tops, marks, column_levels, ties, bits, signs,
                )  # fmt: skip
                sort_by_row(events, o1 - o0, lines, order, row_starts)
                one = length == 1 and bl_words == 1
                if one:
                    count_slots(columns, bl, bits, sizes)
                chunk_bits = u32((span.noise_chunk + (m - span.first) // chunk) << 16)
                for first_row in range(o0, o1, row_block):
                    last_row = min(o1, first_row + row_block)
                    n = 0
                    for r in range(first_row, last_row):
                        k = r - first_row
                        first, last = row_starts[r - o0], row_starts[r - o0 + 1]
                        here = 0
                        if first < last and one:
                            row = fired[order[first]]
                            here = count_one(row, columns, bits, listed, n, blocks, k)
                            if has_mask(kept):
                                at = (r * tiles.shape[1] + s) * kept_blocks
                                pulses += count_kept(row, columns, bits, kept, at)
                            else:
                                for slot in range(bl):
                                    pulses += sizes[slot] if (row >> u32(slot)) & u32(1) else 0
                        elif first < last:
                            here = count_many(
                                order,
                                first,
                                last,
                                columns,
                                width,
                                bl_words,
                                d,
                                m,
                                r - base,
                                lines,
                                fired,
                                groups,
                                bits,
                                signs,
                                total,
                                net,
                                k * width,
                                kept,
                                (r * tiles.shape[1] + s) * kept_blocks,
                            )
                            pulses += here >> 32
                            here &= 0xFFFFFFFF
                        found[0, k] = here
                        found[1, k] = n
                        n = name_normals(row_counters, n, here, u32(r - row_cuts[b]) | chunk_bits)
                    if std > f32(0):
                        row_normals(
                            n >> 2, row_counters, i64(noise_word), i64(sample), i64(k0), i64(k1),
                            noise,
                        )  # fmt: skip
                    else:
                        noise[:n] = f32(0)
                    if one:
                        spread(noise, listed, n, std)
                    for r in range(first_row, last_row):
                        k = r - first_row
                        if found[0, k] == 0:
                            continue
                        o = r * W.shape[1] + c0
                        first, last = row_starts[r - o0], row_starts[r - o0 + 1]
                        kept_at = (r * tiles.shape[1] + s) * kept_blocks
                        if one:
                            flip = -1 if d[m, r - base] < f32(0) else 0
                            left = step_one(
                                weights, params, o, plane, fired[order[first]], bits, signs, flip,
                                noise, found[1, k], tile_ranges, std, flat_limits, blocks, k, near,
                                kept, kept_at,
                            )  # fmt: skip
                        else:
                            left = step_many(
                                weights,
                                params,
                                o,
                                plane,
                                columns,
                                total,
                                k * width,
                                net,
                                noise,
                                found[1, k],
                                tile_ranges,
                                std,
                                near,
                                kept,
                                kept_at,
                            )
                        if left > 0:
                            replay(
                                weights,
                                params,
                                o,
                                plane,
                                tile_ranges,
                                std,
                                near,
                                left,
                                order,
                                first,
                                last,
                                d,
                                m,
                                r - base,
                                lines,
                                fired,
                                groups,
                                bits,
                                signs,
                                width,
                                bl_words,
                                u32(r - row_cuts[b]) | chunk_bits,
                                replay_word,
                                sample,
                                k0,
                                k1,
                            )
    return pulses
