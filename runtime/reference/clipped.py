"""Exact outer products on devices that have nothing but bounds, in NumPy (aihwkit)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def clipped_update(W: Array, x: Array, d: Array, lr: float, low: Array, high: Array) -> None:
    """W [R, C] -= lr d xᵀ in place, cut to the bounds [R, C]."""
    np.clip(W - lr * np.outer(d, x), low, high, out=W)
