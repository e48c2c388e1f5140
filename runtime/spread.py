"""Mean and spread of values that come a block at a time: what a calibration found and left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Spread:
    """Mean and standard deviation of values that come a block at a time."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: NDArray[np.float32]) -> None:
        """Take these values in."""
        exact = values.astype(np.float64)
        self.count += exact.size
        self.total += float(exact.sum())
        self.squares += float(np.square(exact).sum())

    def __add__(self, other: Spread) -> Spread:
        """Both sets of values as one."""
        count, total = self.count + other.count, self.total + other.total
        return Spread(count, total, self.squares + other.squares)

    @property
    def mean(self) -> float:
        """Their mean; 0 without any."""
        return self.total / max(self.count, 1)

    @property
    def std(self) -> float:
        """Their standard deviation."""
        return float(np.sqrt(max(self.squares / max(self.count, 1) - self.mean**2, 0.0)))


@dataclass
class Symmetry:
    """The symmetry points of a plane's devices, seen from zero before and after the shift."""

    before: Spread = field(default_factory=Spread)
    after: Spread = field(default_factory=Spread)

    def __add__(self, other: Symmetry) -> Symmetry:
        """The devices of both."""
        return Symmetry(self.before + other.before, self.after + other.after)

    def record(self) -> dict[str, Any]:
        """As plain numbers."""
        return {
            "devices": self.before.count,
            "mean_before": self.before.mean,
            "std_before": self.before.std,
            "mean_after": self.after.mean,
            "std_after": self.after.std,
        }
