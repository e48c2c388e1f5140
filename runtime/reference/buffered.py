"""Cells with digital memory, column by column, in NumPy: what the cells' kernel does.

Gokmen 2021 (doi 10.3389/frai.2021.699148), Rasch et al. 2024 (doi 10.1038/s41467-024-51221-z),
arXiv 2502.06309. The same draws as the kernel, one vector and one pulse at a time. How a column is
read is in `transfer.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.coincidences import four_normals
from rpucc.runtime.reference.philox import philox
from rpucc.runtime.scalars.philox import CHOPPER, TRANSFER_NOISE

Array = NDArray[np.float64]
f32 = np.float32


@dataclass
class Sizes:
    """Running means of the largest |x| and |d| of a vector; the first value is taken as it is."""

    weight: float
    """Of a new value."""
    means: NDArray[np.float32] = field(default_factory=lambda: np.zeros(2, np.float32))

    def measure(self, x: NDArray[np.float32], d: NDArray[np.float32]) -> np.float32:
        """Take in a vector, zeros left out; returns the product of both, 1 where that is 0."""
        for i, size in enumerate((np.max(np.abs(x)), np.max(np.abs(d)))):
            if size > 0:
                old = self.means[i]
                self.means[i] = old + f32(self.weight) * (size - old) if old > 0 else size
        product = self.means[0] * self.means[1]
        return product if product > 0 else f32(1)


@dataclass(frozen=True)
class Filter:
    """A cell's digital rule, with its settings."""

    scale: float
    most: int
    momentum: float = 0.0
    forget: bool = False
    cap: float = np.inf
    beta: float = 0.0
    averages: bool = False
    """AGAD: reads count from what was read before the sign changed."""
    decays: bool = False
    """Residual learning, version 2: a running mean in place of a sum."""

    def take(
        self, v: Array, sign: float, switched: bool, warming: bool, H: Array, P: Array,
        offset: Array,
    ) -> NDArray[np.int64]:  # fmt: skip
        """The pulses [R] of a column that was read as v [R]; its memory changes in place.

        n = trunc(H), cut to ± most, once s c (v - offset) was added to H.
        """
        if self.averages and switched:
            offset[:] = P
        gained = self.scale * sign * (v - offset)
        if self.decays:
            H[:] = self.momentum * H + (1 - self.momentum) * gained
        else:
            H[:] = 0 if warming else H + gained
        n = np.clip(np.trunc(H), -self.most, self.most)
        if self.decays:
            H -= n
        elif self.forget:
            H[n != 0] *= self.momentum
        else:
            H[:] = np.clip(H - (1 - self.momentum) * n, -self.cap, self.cap)
        P += self.beta * (v - P)
        return n.astype(np.int64)


def write_pulses(
    w: Array, counts: NDArray[np.int64], step: Callable[[float, float, float, int], float], j: int,
    address: tuple[int, int], key: tuple[int, int],
) -> int:  # fmt: skip
    """Give the devices of a column w [R] of a tile exactly so many pulses; returns how many.

    j: the number of the column's read in its sample; address: (tile of the slow array, sample).
    """
    tile, sample = address
    for r in np.flatnonzero(counts):
        element = j * len(w) + int(r)
        for i in range(abs(int(counts[r]))):
            noise = four_normals(element, i // 4, TRANSFER_NOISE, tile, sample, key)[i % 4]
            w[r] = step(float(w[r]), float(np.sign(counts[r])), noise, int(r))
    return int(np.abs(counts).sum())


def sign_changes(
    column: int, passes: int, j: int, period: int, chance: float, address: tuple[int, int],
    key: tuple[int, int],
) -> bool:  # fmt: skip
    """Whether a column's sign changes behind its read, the first of a period being passes % period.

    column: in the matrix; chance: 0 where signs change in turn; address: (first tile of the fast
    array, sample).
    """
    if not period:
        return False
    if not chance:
        return passes % period + 1 == period
    tile, sample = address
    drawn = philox(np.array([column, j, CHOPPER << 24 | tile, sample], np.uint32), key)[0]
    return int(drawn >> 8) < int(2**24 * f32(chance))
