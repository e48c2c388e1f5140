"""Masks of dropouts: drawn by sample and element, whoever works on them."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import DROPOUT, GROUP, fill_words

u32, f32 = nb.uint32, nb.float32


@kernel
def dropout(x, y, mask, words, draws, number, bound, scale, p0, p1):
    """y = x · mask for the pieces p0 to p1, of GROUP elements of a sample each; x: [N, E].

    An element whose word is below `bound` has the mask 0, others `scale`. words: uint32 [GROUP].
    draws: int64 [3], the words of the seed and the number of the first sample.
    """
    E = x.shape[1]
    pieces = (E + GROUP - 1) // GROUP
    purpose = u32(u32(DROPOUT << 24) | u32(number))
    least, none = u32(bound), f32(0)
    for piece in range(p0, p1):
        n = piece // pieces
        first = (piece - n * pieces) * GROUP
        count = min(GROUP, E - first)
        sample = u32(draws[2] + n)
        fill_words(words, first, count, u32(0), purpose, sample, u32(draws[0]), u32(draws[1]))
        row, out, chosen = x[n], y[n], mask[n]
        for i in range(count):
            factor = scale if words[i] >= least else none
            chosen[first + i] = factor
            out[first + i] = row[first + i] * factor
