"""Random words by the block, and the order of samples: `runtime/scalars/philox.py` compiled.

How draws are addressed is said there.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.scalars import philox as scalars
from rpucc.runtime.scalars.philox import (
    ASSIGN,
    AUGMENT,
    BIN_ERROR,
    BIN_INPUT,
    CALIBRATE,
    CHOPPER,
    DAC_ROUNDING,
    DIFFUSION,
    DRIFT,
    DROPOUT,
    FABRICATE,
    FEEDBACK,
    GROUP,
    INITIAL,
    MEASURE_INPUT,
    PULSE_COUNTS,
    PULSE_NOISE,
    PULSE_REPLAY,
    READ_BACKWARD,
    READ_EVALUATE,
    READ_FORWARD,
    READ_MEASURE,
    READ_RECALIBRATE,
    RECALIBRATION,
    REFERENCE,
    REFRESH_COLUMN,
    REFRESH_READ,
    REFRESH_RESET,
    REFRESH_ROW,
    REFRESH_WRITE,
    RESET,
    SHUFFLE,
    TRANSFER_NOISE,
    TRANSFER_READ,
    TRANSFER_ROW,
    UPDATE_COLUMN,
    UPDATE_ROW,
    VALIDATION,
    WRITE_NOISE,
    seed_key,
)

__all__ = [
    "ASSIGN",
    "AUGMENT",
    "BIN_ERROR",
    "BIN_INPUT",
    "CALIBRATE",
    "CHOPPER",
    "DAC_ROUNDING",
    "DIFFUSION",
    "DRIFT",
    "DROPOUT",
    "FABRICATE",
    "FEEDBACK",
    "GROUP",
    "INITIAL",
    "MEASURE_INPUT",
    "PULSE_COUNTS",
    "PULSE_NOISE",
    "PULSE_REPLAY",
    "READ_BACKWARD",
    "READ_EVALUATE",
    "READ_FORWARD",
    "READ_MEASURE",
    "READ_RECALIBRATE",
    "RECALIBRATION",
    "REFERENCE",
    "REFRESH_COLUMN",
    "REFRESH_READ",
    "REFRESH_RESET",
    "REFRESH_ROW",
    "REFRESH_WRITE",
    "RESET",
    "SHUFFLE",
    "TRANSFER_NOISE",
    "TRANSFER_READ",
    "TRANSFER_ROW",
    "UPDATE_COLUMN",
    "UPDATE_ROW",
    "VALIDATION",
    "WRITE_NOISE",
    "below",
    "fill_words",
    "philox",
    "seed_key",
    "shuffle",
]

u32 = nb.uint32

philox = inlined(scalars.philox)
below = inlined(scalars.below)


@kernel
def fill_words(out, first, n, c1, c2, c3, k0, k1):
    """Write the words of elements first .. first + n - 1, starting at the group of `first`.

    out: uint32 [>= GROUP * groups]; element e lands in out[e - first // GROUP * GROUP].
    """
    g0 = first >> 6
    g1 = (first + n + 63) >> 6
    for g in range(g0, g1):
        o = out[(g - g0) * 64 : (g - g0) * 64 + 64]
        for i in range(16):
            a, b, c, d = philox(u32(g * 16 + i), u32(c1), u32(c2), u32(c3), u32(k0), u32(k1))
            o[i] = a
            o[i + 16] = b
            o[i + 32] = c
            o[i + 48] = d


@kernel
def shuffle(order, epoch, k0, k1):
    """Permute int64 `order` in place (Fisher-Yates); the draws are addressed by (seed, epoch)."""
    n = order.shape[0]
    for i in range(n - 1, 0, -1):
        a, b, _, _ = philox(u32(i), u32(0), u32(SHUFFLE << 24), u32(epoch), u32(k0), u32(k1))
        j = below(a, b, i + 1)
        order[i], order[j] = order[j], order[i]
