"""How many pulses a crosspoint gets where that is not left to chance.

Mean counts, and deterministic implicit pulses: aihwkit's `MeanCount` and `DeterministicImplicit`.
With p = min(1, C |v|) of a row or column, as of stochastic trains, and BL slots,

    mean counts    n = round(BL p), then round(n_i n_j / BL)
    implicit       q = p rounded to steps of 1 / levels, then round(BL q_i q_j)

in whole numbers, so that they are the same on every machine; halves are rounded up. Plain
statement: `rpucc.runtime.reference.pulse_numbers`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.floats import bits_of, float_of, magnitude_bits
from rpucc.runtime.kernels.jit import inlined, kernel

f32 = nb.float32
f64 = nb.float64
i64 = nb.int64


@kernel
def numbers_of(values, gain, bl, levels, numbers):
    """numbers[i]: how often line i fires (levels 0), or its probability in steps of 1 / levels."""
    steps = f64(levels if levels > 0 else bl)
    for i in range(values.shape[0]):
        # As bits: what becomes a number is at most 1, whatever came in.
        p = float_of(min(magnitude_bits(values[i] * gain), bits_of(f32(1))))
        numbers[i] = i64(f64(p) * steps + 0.5) if values[i] != f32(0) else i64(0)


@inlined
def pulses_of(number_d, number_x, bl, x_levels, d_levels):
    """The pulses of a crosspoint of two such numbers."""
    most = i64(bl) if x_levels == 0 else i64(x_levels) * i64(d_levels)
    twice = 2 * number_d * number_x * (i64(1) if x_levels == 0 else i64(bl))
    return (twice + most) // (2 * most) if twice >= most else i64(0)
