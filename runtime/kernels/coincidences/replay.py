"""Counted updates: the devices that may meet a bound, pulsed one by one."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import box_muller
from rpucc.runtime.kernels.philox import philox

f32 = nb.float32
u32 = nb.uint32

# A device's normals: counters it may use up to (4 pulses each), as a power of 2.
REPLAY_BITS = 13

step = inlined(ConstantStep.step)


@inlined
def _replay_device(
    w, c, dw_up, dw_down, w_max, w_min, std, order, first, last, D, m, r, lines, fired, groups,
    bits, signs, width, bl_words, index, word, sample, k0, k1,
):  # fmt: skip
    """The weight of column c after all pulses that it gets."""
    j = 0
    z0 = z1 = z2 = z3 = f32(0)
    for k in range(first, last):
        e = order[k]
        g = groups[e]
        x_negative = signs[g * width + c] != 0
        d_negative = D[m + (u32(lines[e]) >> u32(16)), r] < f32(0)
        direction = f32(1) if x_negative != d_negative else f32(-1)
        for b in range(bl_words):
            both = (fired[e] >> u32(16 * b)) & u32(bits[(g * bl_words + b) * width + c])
            both &= u32(0xFFFF)
            while both != u32(0):
                both &= both - u32(1)
                if std > f32(0):
                    if j & 3 == 0:
                        a0, a1, a2, a3 = philox(
                            u32(c << REPLAY_BITS | j >> 2), index, word, sample, k0, k1
                        )
                        z0, z1 = box_muller(a0, a1)
                        z2, z3 = box_muller(a2, a3)
                    else:
                        z0, z1, z2 = z1, z2, z3
                w = step(w, direction, z0, dw_up, dw_down, w_max, w_min, std)
                j += 1
    return w


@kernel
def replay(
    W, codes, o, plane, ranges, std, near, left, order, first, last, D, m, r, lines, fired, groups,
    bits, signs, width, bl_words, index, word, sample, k0, k1,
):  # fmt: skip
    """Pulse the devices o + near[:left] of row r with the events of that row, one by one."""
    for i in range(left):
        c = near[i]
        W[o + c] = _replay_device(
            W[o + c], c, _decode(codes, ranges, o + c, plane, 0),
            _decode(codes, ranges, o + c, plane, 1), _decode(codes, ranges, o + c, plane, 2),
            _decode(codes, ranges, o + c, plane, 3), std, order, first, last, D, m, r, lines,
            fired, groups, bits, signs, width, bl_words, index, word, sample, k0, k1,
        )  # fmt: skip


@inlined
def _decode(codes, ranges, o, plane, i):
    """Parameter i of device o."""
    return f32(codes[i * plane + o]) * ranges[i, 1] + ranges[i, 0]
