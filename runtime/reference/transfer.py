"""One column of a fast array read and pulsed into a slow one, in NumPy: what a cell's kernel does.

Tiki-Taka: Gokmen & Haensch 2020 (doi 10.3389/fnins.2020.00103). The same draws as the kernel, one
pulse at a time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals, words
from rpucc.runtime.scalars.philox import TRANSFER_NOISE, TRANSFER_READ, TRANSFER_ROW

Array = NDArray[np.float64]


def columns(event: int, width: int, at_once: int) -> list[int]:
    """The columns of a tile of this width that transfer number `event` (from 0) takes, in order."""
    return [(event * at_once + turn) % width for turn in range(min(at_once, width))]


def read_column(
    values: Array, turn: int, position: int, address: tuple[int, int], key: tuple[int, int], *,
    noise: float, bound: float, adc_bits: int,
) -> Array:  # fmt: skip
    """The values of a column [R] of a tile as they are read with a one-hot input.

    address: (tile of the fast array, sample); turn: which of the columns of this transfer.
    """
    elements = turn * len(values) + np.arange(len(values))
    tile, sample = address
    drawn = normals(elements, position, TRANSFER_READ << 24 | tile, sample, key) if noise else 0.0
    alpha = bound or np.inf
    read = np.clip(values + noise * drawn, -alpha, alpha)
    if adc_bits:
        step = 2 * alpha / (2**adc_bits - 2)
        read = np.floor(read / step + 0.5) * step
    return np.asarray(read)


def write_column(
    w: Array, wanted: Array, step: Callable[[float, float, float, int], float], turn: int,
    position: int, address: tuple[int, int], key: tuple[int, int], bl: int,
) -> int:  # fmt: skip
    """Pulse a column w [R] of a tile in place; returns the number of pulses.

    wanted [R]: the mean number of pulses of each row, up where it is positive: the column's line is
    on in all bl slots, a row fires with probability |wanted| / bl in each. step(w, direction,
    noise, r) is the device; address: (tile of the slow array, sample).
    """
    tile, sample = address
    slots, pulses = np.arange(bl), 0
    for r in np.flatnonzero(wanted):
        elements = (turn * len(w) + int(r)) * bl + slots
        share = abs(np.float32(wanted[r])) / np.float32(bl)
        level = int(min(float(share), 1.0) * 2.0**24)
        drawn = words(elements, position, TRANSFER_ROW << 24 | tile, sample, key) >> 8
        count = int(np.sum(drawn < level))
        noises = normals(elements[:count], position, TRANSFER_NOISE << 24 | tile, sample, key)
        for noise in noises:
            w[r] = step(float(w[r]), float(np.sign(wanted[r])), float(noise), int(r))
        pulses += count
    return pulses
