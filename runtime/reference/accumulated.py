"""A digital sum of gradients whose whole steps go to devices, in NumPy: what mixed precision does.

Nandakumar et al. 2020 (doi 10.3389/fnins.2020.00406). The same draws as the kernels, one pulse at
a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import words
from rpucc.runtime.reference.pulses import pulse_tile

Array = NDArray[np.float64]


def rows_in_turn(event: int, height: int, at_once: int) -> list[int]:
    """The rows of a tile of this height that event number `event` (from 0) sends; 0: all."""
    taken = min(at_once or height, height)
    return [(event * taken + turn) % height for turn in range(taken)]


def round_to_bins(
    vectors: Array, bins: int, purpose: int, tile: int, address: tuple[int, int],
    key: tuple[int, int],
) -> Array:  # fmt: skip
    """Vectors [G, L] of one position, each rounded to bins of 2 max|v| / bins by chance.

    address: (position, sample).
    """
    if bins == 0:
        return vectors
    position, sample = address
    drawn = words(np.arange(vectors.size), position, purpose << 24 | tile, sample, key)
    uniform = (drawn >> 8).reshape(vectors.shape) * 2.0**-24
    scale = np.max(np.abs(vectors), axis=1, keepdims=True)
    step = np.where(scale > 0, scale, 1) / (bins // 2)
    below = np.floor(vectors / step)
    return np.asarray((below + (uniform < vectors / step - below)) * step)


def send_tile(
    W: Array, chi: Array, step: Callable[[float, float, float, int, int], float], epsilon: float,
    most: int, rows: list[int], address: tuple[int, int], key: tuple[int, int],
) -> NDArray[np.int64]:  # fmt: skip
    """Take whole steps off chi [R, C] of a tile in some rows, and pulse W [R, C] down by them.

    step(w, direction, noise, r, c) is the device; address: (tile, sample). Returns the steps
    [R, C].
    """
    steps = np.zeros(chi.shape, np.int64)
    steps[rows] = np.clip(np.trunc(chi[rows] / epsilon), -most, most)
    chi -= steps * epsilon
    pulse_tile(W, -steps, step, *address, key)
    return steps
