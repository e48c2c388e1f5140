"""Counter-based random words: Philox4x32-10 (Salmon et al., SC 2011, "Parallel random numbers").

Every draw of the simulator is a function of (seed, purpose, array, step, index):

    key     = (seed low 32 bits, seed high 32 bits)
    counter = (c0: element block, c1: index, c2: purpose << 24 | tile, c3: sample)

so any draw can be named, and a run does not depend on threads or on how a batch is split.
Elements come in groups of 64 that 16 counters fill: element e is word (e >> 4) & 3 of counter
c0 = (e >> 6) * 16 + (e & 15). That order lets 8 or 16 counters run side by side in one vector.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.jit import inlined, kernel

u32 = nb.uint32
u64 = nb.uint64

# What a draw is for; the top byte of counter word 2. Never renumber: runs must stay repeatable.
READ_FORWARD = 1
READ_BACKWARD = 2
READ_EVALUATE = 3
UPDATE_ROW = 4
UPDATE_COLUMN = 5
PULSE_NOISE = 6
FABRICATE = 7
SHUFFLE = 8
PULSE_REPLAY = 9
CALIBRATE = 10
REFERENCE = 11
DAC_ROUNDING = 16  # added to the purpose of the read whose inputs are rounded: 17, 18, 19
ASSIGN = 20

GROUP = 64


@inlined
def philox(c0, c1, c2, c3, k0, k1):
    """Ten Philox rounds on one counter: four uint32 words."""
    for _ in range(10):
        p0 = u64(0xD2511F53) * u64(c0)
        p1 = u64(0xCD9E8D57) * u64(c2)
        c0 = u32(u32(p1 >> u64(32)) ^ c1 ^ k0)
        c2 = u32(u32(p0 >> u64(32)) ^ c3 ^ k1)
        c1 = u32(p1)
        c3 = u32(p0)
        k0 = u32(k0 + u32(0x9E3779B9))
        k1 = u32(k1 + u32(0xBB67AE85))
    return c0, c1, c2, c3


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


def seed_key(seed: int) -> tuple[np.uint32, np.uint32]:
    """Split a seed of up to 64 bits into the two key words."""
    return np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)


@kernel
def shuffle(order, epoch, k0, k1):
    """Permute int64 `order` in place (Fisher-Yates); the draws are addressed by (seed, epoch)."""
    n = order.shape[0]
    for i in range(n - 1, 0, -1):
        a, b, _, _ = philox(u32(i), u32(0), u32(SHUFFLE << 24), u32(epoch), u32(k0), u32(k1))
        # A 64-bit draw modulo i + 1 < 2^32 is biased by less than 2^-32.
        j = np.int64(((u64(a) << u64(32)) | u64(b)) % u64(i + 1))
        order[i], order[j] = order[j], order[i]
