"""The sign of a matrix from vector to vector, and errors that are turned by it (E-RIDER).

Signs change behind transfers, in the middle of a step too, and depend on nothing but their number
and chance: they are known before anything is pulsed. Not for signs of single columns:
`column_windows.py`.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb

from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import CHOPPER, philox

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32


class Turning(NamedTuple):
    """When the sign of a matrix changes."""

    every: int
    """Vectors, or minibatches, from one transfer to the next."""
    by_minibatch: bool
    trains: int
    """Rows of errors a vector: one for each of its pulse trains."""
    positions: int
    """Rows of errors a sample."""
    period: int
    """Transfers behind which it changes, or may."""
    level: int
    """Of 2^24 times it then does so by chance; -1: it always does."""
    tile: int
    """The first tile of the fast plane: names the draws."""


@kernel
def turn_vectors(D, turned, signs, sign, before, turning, sample0, k0, k1):
    """Let turned be the errors D [G, M, R] times the signs of vectors; how often it changed.

    signs: [M + 1], gets those of the rows and the one behind them; sign: of the first;
    before: vectors, or minibatches, before the step. Whether the sign changes by chance behind a
    vector is the first word of (0, position, CHOPPER and tile, sample) of its last row.
    """
    trains, word = turning.trains, u32(u32(CHOPPER << 24) | u32(turning.tile))
    vectors = D.shape[1] // trains
    n, changes = i64(before), 0
    for m in range(vectors):
        for row in range(m * trains, (m + 1) * trains):
            signs[row] = sign
            for g in range(D.shape[0]):
                d, out = D[g, row], turned[g, row]
                for r in range(D.shape[2]):
                    out[r] = sign * d[r]
        if turning.by_minibatch and m < vectors - 1:
            continue
        n += 1
        if n % turning.every != 0 or (n // turning.every) % turning.period != 0:
            continue
        if turning.level >= 0:
            last = (m + 1) * trains - 1
            position, sample = last % turning.positions, sample0 + last // turning.positions
            drawn, _, _, _ = philox(
                u32(0), u32(position), word, u32(sample), u32(k0), u32(k1)
            )  # fmt: skip
            if i32(drawn >> u32(8)) >= i32(turning.level):
                continue
        sign = -sign
        changes += 1
    signs[D.shape[1]] = sign
    return changes
