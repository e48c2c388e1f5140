"""What a cell with a running mean and a sign has beside its planes, within a step (RIDER)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.cells.base import FLIPPED
from rpucc.runtime.cells.arguments import Rates, SignedRates
from rpucc.runtime.kernels.jit import machine_code
from rpucc.runtime.kernels.vector_signs import Turning, turn_vectors

if TYPE_CHECKING:
    from rpucc.cells.rider import Rider
    from rpucc.runtime.array import Array
    from rpucc.runtime.builder import Builder

FloatArray = NDArray[np.float32]


class Signed:
    """The errors of a step as the fast plane takes them, and what becomes of the sign and of Q.

    D: the errors of all positions [G, M, R]; trains: rows of it a vector.
    """

    def __init__(
        self, executor: Builder, array: Array, cell: Rider, D: FloatArray, trains: int
    ) -> None:
        self._array, self._where, self._given = array, executor.address, D
        self._memory: FloatArray = array.buffers[cell.buffers[0]]
        self._count: NDArray[np.int64] = array.buffers[COUNT]
        self._signs = np.ones(D.shape[1] + 1, np.float32)
        self._held = np.empty((0, 0), np.float32)
        self._changes = 0
        self.flips = cell.flip_every > 0
        self.errors = D
        """The errors, each with the sign of its vector."""
        if self.flips:
            self.errors = np.empty(D.shape, np.float32)
            self._held = np.zeros(array.layout.shape, np.float32)
            self._turning = turning_of(cell, array, trains, D.shape[1] // executor.batch)
            self._code = machine_code(turn_vectors, *self._arguments())

    def _arguments(self) -> tuple[Any, ...]:
        sign = np.float32(1 - 2 * float(self._array.buffers[FLIPPED]))
        return (
            self._given, self.errors, self._signs, sign, int(self._count), self._turning,
            self._where.sample, *self._where.key,
        )  # fmt: skip

    def prepare(self) -> None:
        """Turn the errors of a step, before anything is pulsed."""
        self._changes = self._code(*self._arguments())

    def rates(self, plain: Rates) -> SignedRates:
        """The rates as the cell's kernel takes them."""
        return SignedRates(*plain, self._memory, self._signs, self._held)

    def finish(self) -> None:
        """Behind a step in which the sign changed: keep it, and what reads count from now."""
        if self._changes:
            self._array.planes["reference"].write(self._held, self._where.sample)
            self._array.buffers[FLIPPED][...] = self._signs[-1] < 0


def turning_of(cell: Rider, array: Array, trains: int, positions: int) -> Turning:
    """When the sign of a matrix changes: behind whole turns of the widest tile."""
    widest = array.layout.longest_segment
    turn = -(-widest // min(cell.transfer_columns, widest))
    by_chance = cell.flip_random
    return Turning(
        every=cell.transfer_every,
        by_minibatch=cell.transfer_by_minibatch,
        trains=trains,
        positions=positions,
        period=turn if by_chance else turn * cell.flip_every,
        level=int(2**24 * np.float32(1 / cell.flip_every)) if by_chance else -1,
        tile=int(array.planes[cell.pulsed].layout.tiles.flat[0]),
    )
