"""Counter-based random words: Philox4x32-10 (Salmon et al., SC 2011, "Parallel random numbers").

Every draw of the simulator is a function of (seed, purpose, array, step, index):

    key     = (seed low 32 bits, seed high 32 bits)
    counter = (c0: element block, c1: index, c2: purpose << 24 | tile, c3: sample)

so any draw can be named, and a run does not depend on threads or on how a batch is split.
Elements come in groups of 64 that 16 counters fill: element e is word (e >> 4) & 3 of counter
c0 = (e >> 6) * 16 + (e & 15). That order lets 8 or 16 counters run side by side in one vector.
"""

from __future__ import annotations

from typing import Any

import numpy as np

i64 = np.int64
u32 = np.uint32
u64 = np.uint64

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
VALIDATION = 12
# Added to the purpose READ_… of the read whose inputs are rounded: 17, 18, 19, 41, 52. Reads of
# transfers go through no DAC.
DAC_ROUNDING = 16
ASSIGN = 20
PULSE_COUNTS = 24
TRANSFER_READ = 21
TRANSFER_ROW = 22
TRANSFER_NOISE = 23
READ_MEASURE = 25
MEASURE_INPUT = 26
AUGMENT = 27
DROPOUT = 28
FEEDBACK = 30
INITIAL = 32
READ_RECALIBRATE = 36
RECALIBRATION = 37
BIN_INPUT = 44
BIN_ERROR = 45
CHOPPER = 46
REFRESH_READ = 51
REFRESH_ROW = 47
REFRESH_COLUMN = 48
REFRESH_WRITE = 49
REFRESH_RESET = 50
WRITE_NOISE = 64
DIFFUSION = 65
RESET = 66
DRIFT = 67

GROUP = 64


def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> tuple[Any, Any, Any, Any]:
    """Ten Philox rounds on one counter (c0 .. c3) with one key: four words; all uint32."""
    for _ in range(10):
        p0 = u64(0xD2511F53) * u64(c0)
        p1 = u64(0xCD9E8D57) * u64(c2)
        c0 = u32(u32(p1 >> u64(32)) ^ c1 ^ k0)
        c2 = u32(u32(p0 >> u64(32)) ^ c3 ^ k1)
        c1 = u32(p1)
        c3 = u32(p0)
        k0 = u32(u64(k0) + u64(0x9E3779B9))
        k1 = u32(u64(k1) + u64(0xBB67AE85))
    return c0, c1, c2, c3


def below(a: Any, b: Any, count: Any) -> Any:
    """One of 0 .. count - 1, int64, from two uint32 words; biased by less than 2^-32."""
    return i64(((u64(a) << u64(32)) | u64(b)) % u64(count))


def seed_key(seed: int) -> tuple[np.uint32, np.uint32]:
    """Split a seed of up to 64 bits into the two key words."""
    return np.uint32(seed & 0xFFFFFFFF), np.uint32((seed >> 32) & 0xFFFFFFFF)
