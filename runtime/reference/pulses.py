"""An exact number of pulses for each device of one tile, in NumPy; as the compiled kernel draws."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.coincidences import four_normals
from rpucc.runtime.scalars.philox import PULSE_COUNTS


def pulse_tile(
    W: NDArray[np.float64], counts: NDArray[np.int64],
    step: Callable[[float, float, float, int, int], float], tile: int, sample: int,
    key: tuple[int, int], first: int = 0,
) -> int:  # fmt: skip
    """Pulse W [R, C] in place, counts [R, C] times, down where negative; returns how many pulses.

    step(w, direction, noise, r, c) is the device. first, a multiple of 4: the number of each
    device's first pulse in this sample; four of them share a counter.
    """
    for r, c in np.argwhere(counts):
        element = int(r) * W.shape[1] + int(c)
        for i in range(first, first + abs(int(counts[r, c]))):
            noise = four_normals(element, i // 4, PULSE_COUNTS, tile, sample, key)[i % 4]
            W[r, c] = step(W[r, c], float(np.sign(counts[r, c])), noise, int(r), int(c))
    return int(np.abs(counts).sum())
