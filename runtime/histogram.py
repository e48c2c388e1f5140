"""How values are spread: counts in bins of one width between the least and the largest.

Not for which values: `plane_figures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 48
AT_ONCE = 1 << 20
"""Values whose bins are worked out together: what bounds the memory that it takes."""


@dataclass(frozen=True)
class Histogram:
    """Counts of values from `low` up, `step` a bin."""

    low: float
    step: float
    counts: tuple[int, ...]

    @property
    def high(self) -> float:
        """The upper end of the last bin."""
        return self.low + self.step * len(self.counts)

    @property
    def total(self) -> int:
        """Values in all."""
        return sum(self.counts)

    def record(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {"low": self.low, "step": self.step, "counts": list(self.counts)}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Histogram:
        """From what `record` gave; raises ValueError where it is none of it."""
        low, step, counts = (record.get(key) for key in ("low", "step", "counts"))
        if not (_is_number(low) and _is_number(step) and step > 0):
            raise ValueError("its low and step are no numbers")
        if not (isinstance(counts, list) and 0 < len(counts) <= 1000):
            raise ValueError("its counts are no list")
        if not all(type(count) is int and 0 <= count < 2**53 for count in counts):
            raise ValueError("its counts are no counts")
        return cls(float(low), float(step), tuple(counts))


def histogram(values: NDArray[np.floating[Any]], bins: int = BINS) -> Histogram:
    """Count finite values, of any shape, in bins between the least and the largest.

    >>> histogram(np.array([0.0, 0.5, 1.0, 1.0], np.float32), bins=2)
    Histogram(low=0.0, step=0.5, counts=(1, 3))
    >>> histogram(np.full(3, 0.25, np.float32)).counts
    (3,)
    """
    flat = values.reshape(-1)
    low, high = float(flat.min()), float(flat.max())
    step = (high - low) / bins
    if step <= abs(high) * 1e-7:  # alike, as far as float32 tells
        width = abs(low) * 1e-3 or 1e-3
        return Histogram(low - width / 2, width, (flat.size,))
    counts = np.zeros(bins, np.int64)
    scale, offset = np.float32(1 / step), np.float32(low)
    for first in range(0, flat.size, AT_ONCE):
        at = (flat[first : first + AT_ONCE] - offset) * scale
        place = np.minimum(at.astype(np.intp), bins - 1)
        counts += np.bincount(place, minlength=bins)
    return Histogram(low, step, tuple(counts.tolist()))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e30
