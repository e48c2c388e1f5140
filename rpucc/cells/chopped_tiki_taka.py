"""Tiki-Taka, version 2, with choppers: the signs of the fast array's columns change now and then.

Rasch et al. 2024 (doi 10.1038/s41467-024-51221-z), c-TTv2. c_k is the sign of column k, at first 1:

    U(A, c ⊙ x, d, lr_A)
    every so often:  v = read(A, k),  H_k += (lr_T / q) c_k v,  n = trunc(H_k), cut to ± transfer_bl
                     W_k gets n pulses,  H_k -= n,  then c_k may change,  k = k + 1

What is read of A beside the gradients, because its devices' symmetry points are not where its zero
is, is added up with both signs and cancels.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np

from rpucc.cells.base import CELL
from rpucc.cells.buffered import Grain, Summed
from rpucc.cells.buffered_body import buffered_body
from rpucc.target.keys import OnNode
from rpucc.target.values import Flag, Fraction

CHOPPED = "chopped"
"""The state that says which columns have the sign -1, float32 [C]: 0 or 1."""
SLACK = np.float32(1e-3)
"""1 / 0.1 in float32 is not 10: less than this above a whole number is that number."""


def reads_of(chance: float) -> int:
    """How many reads of a column make a period: 1 / chance, rounded up, at least 2; 0 for never.

    In float32, as the op's body has it.

    >>> reads_of(0.1), reads_of(0.02), reads_of(0.3), reads_of(0)
    (10, 50, 4, 0)
    """
    if chance <= 0:
        return 0
    return max(int(np.ceil(np.float32(1) / np.float32(chance) - SLACK)), 2)


class Chopped(Summed):
    """What cells with choppers have in common: H counts in granularities of the fast array."""

    column_flags: ClassVar[tuple[str, ...]] = (CHOPPED,)

    buffer_granularity: Annotated[Grain, OnNode(CELL)] = 1.0
    """H's unit, which a pulse of W stands for, in granularities of the fast array."""
    in_chop_prob: Annotated[Fraction, OnNode(CELL)] = 0.1
    """A column's sign changes once in 1 / `in_chop_prob` reads of it, rounded up, at least 2; 0:
    never."""
    in_chop_random: Annotated[Flag, OnNode(CELL)] = False
    """Whether each sign changes by chance; false: all of them behind every so many reads."""

    def grain(self, slow_step: float, fast_step: float) -> float:
        """Granularities of the fast array."""
        return self.buffer_granularity * fast_step

    @property
    def period(self) -> int:
        """Reads of a column until its sign may change."""
        return reads_of(self.in_chop_prob)

    @property
    def chop_chance(self) -> float:
        """With what chance a sign changes behind a read; 0 where it changes in turn."""
        return self.in_chop_prob if self.in_chop_random else 0.0


class ChoppedTikiTaka(Chopped):
    """Tiki-Taka with a digital filter, and columns whose sign changes."""

    model: ClassVar[str] = "chopped-tiki-taka"
    summary: ClassVar[str] = "tiki-taka-2 whose columns change their sign now and then (c-TTv2)"
    source: ClassVar[str] = "Rasch et al. 2024, doi 10.1038/s41467-024-51221-z"
    op: ClassVar[str] = "ChoppedTikiTakaUpdate"
    body: ClassVar[str] = buffered_body("@buffer_granularity", "fast_step", chops=True)
