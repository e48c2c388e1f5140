"""How values are spread: counts in bins of one width between the least and the largest.

Not for which values: `plane_figures.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 6, 48
"""The fewest and the most, of few and of many values."""
AT_ONCE = 1 << 20
"""Values whose bins are worked out together: what bounds the memory that it takes."""


@dataclass(frozen=True)
class Histogram:
    """Counts of values from `low` up, `step` a bin."""

    low: float
    step: float
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not (math.isfinite(self.low + self.high) and self.step > 0):
            raise ValueError("its bins are no finite range")
        if not self.counts or min(self.counts) < 0:
            raise ValueError("its counts are none")

    @property
    def high(self) -> float:
        """The upper end of the last bin."""
        return self.low + self.step * len(self.counts)

    @property
    def mean(self) -> float:
        """The mean of the values, each taken to lie in the middle of its bin."""
        middles = sum((i + 0.5) * count for i, count in enumerate(self.counts))
        return self.low + self.step * middles / max(self.total, 1)

    @property
    def total(self) -> int:
        """Values in all."""
        return sum(self.counts)


def histogram(values: NDArray[np.floating[Any]]) -> Histogram:
    """Count finite values, of any shape, in bins between the least and the largest.

    There are twice the cube root of their number (Rice's rule), within `BINS`.

    >>> histogram(np.array([0.0, 0.5, 1.0, 1.0], np.float32)).counts
    (1, 0, 0, 1, 0, 2)
    >>> histogram(np.full(3, 0.25, np.float32)).counts
    (3,)
    """
    flat = values.reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    bins = min(max(round(2 * flat.size ** (1 / 3)), BINS[0]), BINS[1])
    step = (high - low) / bins
    if step <= abs(high) * 1e-7:  # alike, as far as float32 tells
        width = abs(low) * 1e-3 or 1e-3
        return Histogram(low - width / 2, width, (flat.size,))
    counts = np.zeros(bins, np.int64)
    limits = np.finfo(np.float32)
    fits = high - low <= float(limits.max) and 1 / step <= float(limits.max)
    kind: type[np.floating[Any]] = np.float32 if fits else np.float64
    scale, offset = kind(1 / step), kind(low)
    for first in range(0, flat.size, AT_ONCE):
        at = (flat[first : first + AT_ONCE].astype(kind, copy=False) - offset) * scale
        place = np.minimum(at.astype(np.intp), bins - 1)
        counts += np.bincount(place, minlength=bins)
    return Histogram(low, step, tuple(counts.tolist()))
