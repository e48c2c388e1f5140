"""Pairs of devices that are only pulsed up, in NumPy: one update of a tile, and writing a column.

The same draws as the kernels, one pulse at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import words
from rpucc.runtime.reference.update import gains, threshold, update_tile
from rpucc.runtime.scalars.philox import REFRESH_COLUMN, REFRESH_ROW

Array = NDArray[np.float64]
Step = Callable[[float, float, float, int, int], float]


def pulse_pair(
    pair: tuple[Array, Array], x: Array, d: Array, position: int, counts: NDArray[np.int64],
    steps: tuple[Step, Step], tile: int, sample: int, key: tuple[int, int],
    trains: tuple[int, float, float],
) -> int:  # fmt: skip
    """Pulse g+ or g- [R, C] up, by the sign of each coincidence; returns the number of pulses.

    What a plain device would get goes to the one of its direction, with its draws. trains:
    (BL, Cx, Cd); counts, steps: as in `update.update_tile`.
    """
    before, pulses = counts.copy(), 0
    for W, step, side in zip(pair, steps, (1, -1), strict=True):
        counts[:] = before

        def up(w: float, direction: float, noise: float, r: int, c: int) -> float:
            return step(w, 1.0, noise, r, c) if direction * side > 0 else w  # noqa: B023

        pulses = update_tile(W, x, d, position, counts, up, tile, sample, key, *trains)
    return pulses


def written(
    wanted: Array, granularity: float, tile: int, sample: int, key: tuple[int, int], slots: int
) -> NDArray[np.int64]:
    """In how many slots each device of wanted [R, C] fires that is written in an open loop.

    Each column is one update at rate 1 with one input of 1, under UM and UBLM; where it is more
    than all slots carry, its line fires in each, and only the largest values are cut.
    """
    counts = np.zeros(wanted.shape, np.int64)
    for k, column in enumerate(wanted.T):
        carried = np.minimum(column, slots * granularity)
        bl, cx, cd = gains(np.ones(1), carried, 1.0, granularity, slots, True, True)
        i = np.arange(bl)
        fires = words(k * slots + i, 0, REFRESH_COLUMN << 24 | tile, sample, key) >> 8
        on = fires < threshold(np.ones(1), cx)
        for r in np.flatnonzero(column):
            first = (k * len(column) + int(r)) * slots
            drawn = words(first + i, 0, REFRESH_ROW << 24 | tile, sample, key) >> 8
            counts[r, k] = np.sum(on & (drawn < threshold(column[r : r + 1], cd)))
    return counts
