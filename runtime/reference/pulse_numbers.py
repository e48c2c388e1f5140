"""How many pulses each crosspoint gets where that is not left to chance, in NumPy.

aihwkit's `MeanCount` and `DeterministicImplicit` (physics.md section 3). Probabilities are float32,
all else is whole numbers: the same as the kernel's, bit for bit.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


def probabilities(values: NDArray[Any], gain: float) -> NDArray[np.float64]:
    """min(1, C |v|) of lines, as float32 has it."""
    p = np.abs(values).astype(np.float32) * np.float32(gain)
    return np.asarray(np.minimum(p, np.float32(1)), np.float64)


def mean_counts(x: NDArray[Any], d: NDArray[Any], bl: int, cx: float, cd: float) -> Counts:
    """Pulses of each device [R, C]: round(n_i n_j / BL), n = round(BL p), up where d x < 0."""
    n_x, n_d = (_round(bl * probabilities(v, c)) for v, c in ((x, cx), (d, cd)))
    return _signed((2 * np.outer(n_d, n_x) + bl) // (2 * bl), x, d)


def implicit(
    x: NDArray[Any], d: NDArray[Any], bl: int, cx: float, cd: float, x_levels: int, d_levels: int
) -> Counts:
    """Pulses of each device [R, C]: round(BL q_i q_j), q = p rounded to 1 / levels."""
    q_x = _round(x_levels * probabilities(x, cx))
    q_d = _round(d_levels * probabilities(d, cd))
    most = x_levels * d_levels
    return _signed((2 * bl * np.outer(q_d, q_x) + most) // (2 * most), x, d)


def _round(values: NDArray[np.float64]) -> Counts:
    return np.floor(values + 0.5).astype(np.int64)


def _signed(counts: Counts, x: NDArray[Any], d: NDArray[Any]) -> Counts:
    return np.asarray(counts * -np.sign(np.outer(d, x)).astype(np.int64))
