"""Columns of an array read and pulsed into another one, in NumPy: what a cell's kernel does.

Tiki-Taka: Gokmen & Haensch 2020 (doi 10.3389/fnins.2020.00103); chains of several arrays:
arXiv 2510.02516. The same draws as the kernel, one pulse at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals, words
from rpucc.runtime.reference.rest import reset, settle
from rpucc.runtime.scalars.philox import TRANSFER_NOISE, TRANSFER_READ, TRANSFER_ROW

Matrix = NDArray[np.float64]
Step = Callable[[float, float, float, int, int], float]
Digital = Callable[[Matrix, slice, int], Matrix]
"""From what was read of some rows of a column [rows]: (values, rows, column)."""


@dataclass(frozen=True)
class Array:
    """An array of a cell, all tiles of it; matrices are [R, C]."""

    W: Matrix
    seen: Matrix
    """What reads see of it: W itself where there is no noise of writing."""
    written: NDArray[np.bool_]
    """Which devices were written since reads last saw them; `step` notes it."""
    write_noise: float
    reset: tuple[float, float]
    """What devices are reset to, and how far off they come."""
    bounds: tuple[Matrix, Matrix]
    dw_min: float
    step: Callable[[slice, slice], Step]
    """One pulse of a device: of the rows and columns of a tile, step(w, direction, noise, row,
    column)."""
    first_tile: int


@dataclass(frozen=True)
class Link:
    """From which array to which another transfers go."""

    fast: Array
    slow: Array
    rate: float
    every: int


def transfer(
    link: Link, n: int, blocks: Iterable[tuple[slice, slice]], at_once: int, place: tuple[int, int],
    key: tuple[int, int], *, noise: float, bound: float, adc_bits: int, bl: int, reset_read: bool,
    digital: Digital | None = None,
) -> int:  # fmt: skip
    """What a link transfers when n vectors, or minibatches, have been there; the pulses.

    blocks: rows and columns of the tiles, in the order of their numbers; place: position and sample
    of the vector after which it is done; reset_read: whether a column is reset that was read;
    digital: what of a read column goes over, if not all of it.
    """
    pulses = 0
    position, sample = place
    A, slow = link.fast, link.slow
    for i, (rows, cols) in enumerate(blocks if n % link.every == 0 else ()):
        tile, step = A.first_tile + i, slow.step(rows, cols)
        for turn, k in enumerate(columns(n // link.every - 1, cols.stop - cols.start, at_once)):
            c = cols.start + k
            now = np.zeros((rows.stop - rows.start, cols.stop - cols.start), bool)
            now[:, k] = A.written[rows, c]
            settle(
                A.seen[rows, cols], A.W[rows, cols], now, A.write_noise, tile, sample, key, position
            )
            A.written[rows, c] = False
            value = read_column(
                A.seen[rows, c], turn, position, (tile, sample), key, noise=noise, bound=bound,
                adc_bits=adc_bits,
            )  # fmt: skip
            value = value if digital is None else digital(value, rows, c)
            pulses += write_column(
                slow.W[rows, c], link.rate * value / slow.dw_min, _of_column(step, k), turn,
                position, (slow.first_tile + i, sample), key, bl,
            )  # fmt: skip
            if reset_read:
                A.written[rows, c] = True
                to, std = A.reset
                bounds = A.bounds[0][rows, cols], A.bounds[1][rows, cols]
                targets = np.full(now.shape, to)
                reset(A.W[rows, cols], k, targets, std, bounds, position, tile, sample, key)
    return pulses


def _of_column(step: Step, k: int) -> Callable[[float, float, float, int], float]:
    return lambda w, direction, noise, r: step(w, direction, noise, r, k)


def columns(event: int, width: int, at_once: int) -> list[int]:
    """The columns of a tile of this width that transfer number `event` (from 0) takes, in order."""
    return [(event * at_once + turn) % width for turn in range(min(at_once, width))]


def read_column(
    values: Matrix, turn: int, position: int, address: tuple[int, int], key: tuple[int, int], *,
    noise: float, bound: float, adc_bits: int,
) -> Matrix:  # fmt: skip
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
    w: Matrix, wanted: Matrix, step: Callable[[float, float, float, int], float], turn: int,
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
