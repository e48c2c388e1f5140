"""RIDER and E-RIDER in NumPy: what reads of the fast array count from, and the sign of a matrix.

arXiv 2602.21321. The same draws as the kernels; how a column is read is in `transfer.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.buffered import sign_changes

Matrix = NDArray[np.float64]


@dataclass
class RunningMean:
    """Q [R, C], the running mean of reads, and R [R, C], what it was when the sign last changed."""

    shape: tuple[int, int]
    share: float
    """η: of a read in the mean."""
    period: int = 0
    """Transfers after which the sign changes, or may by chance; 0: it never changes."""
    chance: float = 0.0
    """With which chance it does; 0: it always does."""
    sign: float = 1.0
    Q: Matrix = field(init=False)
    R: Matrix = field(init=False)

    def __post_init__(self) -> None:
        self.Q, self.R = np.zeros(self.shape), np.zeros(self.shape)

    def take(self, read: Matrix, rows: slice, column: int) -> Matrix:
        """What goes over of a column that was read: c (v - Q), once Q has taken the read in."""
        Q = self.Q[rows, column]
        Q += self.share * (read - Q)
        return np.asarray(self.sign * (read - Q))

    def turn(
        self, transfers: int, position: int, address: tuple[int, int], key: tuple[int, int]
    ) -> None:
        """Change the sign behind transfer number `transfers` (from 1), if it is time to.

        position: of the vector after which it was; address: (first tile of the fast array, sample).
        """
        if not self.period or transfers % self.period:
            return
        if self.chance and not sign_changes(0, 0, position, 1, self.chance, address, key):
            return
        self.sign, self.R = -self.sign, self.Q.copy()
