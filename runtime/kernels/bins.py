"""Vectors rounded to bins by chance, each to those of its own largest magnitude."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.floats import largest_magnitude
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import fill_words
from rpucc.stages.dac import Dac

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32

_by_chance = inlined(Dac.by_chance)


@kernel
def round_to_bins(V, out, bins, word, sample0, positions, k0, k1, words):
    """Round V [G, M, L] to bins of 2 max|v| / bins of each vector, up or down by chance; to `out`.

    bins: even. Row m is position m % positions of sample sample0 + m // positions. Element j of
    group g has the uniform number of element g L + j of (position, word, sample). words: scratch
    uint32 [L + 128].
    """
    levels = f32(bins // 2)
    step = f32(1) / levels
    length = V.shape[2]
    for m in range(V.shape[1]):
        position, sample = m % positions, sample0 + m // positions
        for g in range(V.shape[0]):
            v, rounded = V[g, m], out[g, m]
            scale = largest_magnitude(v)
            first = g * length
            fill_words(words, first, length, position, i64(word), sample, i64(k0), i64(k1))
            inverse = f32(1) / scale if scale > f32(0) else f32(0)
            for j in range(length):
                uniform = f32(i32(words[(first & 63) + j] >> u32(8))) * f32(2.0**-24)
                rounded[j] = _by_chance(v[j] * inverse, levels, step, uniform) * scale
