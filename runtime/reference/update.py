"""The stochastic pulsed update of one tile, in NumPy (Gokmen & Vlasov 2016).

The same draws as the compiled kernel, one pulse at a time: the two agree draw for draw. For that
the thresholds that draws are compared with are float32 here too; all else is float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals, philox
from rpucc.runtime.scalars.philox import PULSE_NOISE, UPDATE_COLUMN, UPDATE_ROW

Array = NDArray[np.float64]
Integers = NDArray[np.int64]


def gains(
    x: Array, d: Array, lr: float, dw_min: float, bl_max: int, managed: int, bl_managed: bool
) -> tuple[int, float, float]:
    """(BL, Cx, Cd) of one update; see physics.md section 3. managed: 2 where x is never cut."""
    x_max, d_max = np.max(np.abs(x)), np.max(np.abs(d))
    if d_max == 0 or x_max == 0:
        return 0, 0.0, 0.0
    bl = bl_max
    asked = lr * x_max * d_max / dw_min
    if bl_managed:
        bl = int(np.clip(np.ceil(asked), 1, bl_max))
    k = np.sqrt(lr / (bl * dw_min))
    m = np.sqrt(d_max / x_max) if managed else 1.0
    if managed > 1 and asked > bl_max:
        m *= np.sqrt(bl_max / asked)
    return bl, k * m, k / m


def trains(bl_max: int, bl: int) -> list[int]:
    """The slots of each train of one position: 31 at most, in order, `bl` in all.

    There are as many trains as bl_max needs, the last ones empty where bl is smaller. Each is
    drawn as a position of its own, number position · trains + train; slots are independent of each
    other, so this says only where their draws come from.
    """
    return [min(max(bl - first, 0), 31) for first in range(0, bl_max, 31)]


def threshold(values: Array, gain: float) -> NDArray[np.float32]:
    """A line fires when its 24-bit draw lies below this: 2^24 times its probability.

    A line of 0 never fires, whatever the gain is; one of infinity or NaN always does.
    """
    with np.errstate(all="ignore"):
        largest = np.finfo(np.float32).max
        finite = np.fmin(np.float32(gain) * np.float32(2**24), largest)
        scaled = np.abs(values).astype(np.float32) * finite
    return np.where(np.isnan(scaled), np.float32(2**24), scaled)


def draws(
    c0: Integers, c1: Integers, byte: Integers, rest0: Integers, rest1: Integers,
    purpose: tuple[int, int, int], key: tuple[int, int],
) -> Integers:  # fmt: skip
    """24-bit draws: byte `byte` of counter (c0, c1) on top, then 16 bits of (rest0, 2^31 + rest1).

    purpose: (what for, tile, sample).
    """

    def words(first: Integers, second: Integers) -> NDArray[np.uint32]:
        counter = np.empty((len(first), 4), np.uint32)
        counter[:, 0], counter[:, 1] = first, second
        counter[:, 2], counter[:, 3] = purpose[0] << 24 | purpose[1], purpose[2]
        return philox(counter, key)

    bytes_of = words(c0, c1).astype("<u4").view(np.uint8)
    top = bytes_of[np.arange(len(byte)), byte].astype(np.int64)
    return top << 16 | (words(rest0, rest1 | 1 << 31)[:, 0] >> 16)


def update_tile(
    W: Array, x: Array, d: Array, position: int, counts: NDArray[np.int64],
    step: Callable[[float, float, float, int, int], float], tile: int, sample: int,
    key: tuple[int, int], bl: int, cx: float, cd: float,
    mask: NDArray[np.bool_] | None = None,
) -> int:  # fmt: skip
    """Pulse W [R, C] in place with x [C] and d [R]; returns the number of pulses.

    step(w, direction, noise, r, c) is the device; counts [R]: pulses that each row had before in
    this sample (they number the noise draws), brought up to date here. mask [R, C]: false where no
    pulse arrives, which has its draw all the same.
    """
    R, pulses = len(W), 0
    rows, columns = coincidences(x, d, position, R, tile, sample, key, bl, cx, cd)
    for r in range(R):
        for slot in np.flatnonzero(rows[:, r]):
            for c in np.flatnonzero(columns[slot]):
                counts[r] += 1
                if mask is not None and not mask[r, c]:
                    continue
                word = PULSE_NOISE << 24 | tile
                noise = float(normals(counts[r : r + 1] - 1, r, word, sample, key)[0])
                W[r, c] = step(W[r, c], -float(np.sign(d[r] * x[c])), noise, r, int(c))
                pulses += 1
    return pulses


def coincidences(
    x: Array, d: Array, position: int, tile_rows: int, tile: int, sample: int,
    key: tuple[int, int], bl: int, cx: float, cd: float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:  # fmt: skip
    """Which rows [bl, R] and columns [bl, C] of a tile fire in each slot of one position."""
    R, C = len(d), len(x)
    rows, columns = np.zeros((bl, R), bool), np.zeros((bl, C), bool)
    slots, numbers = np.arange(bl), np.arange(C)
    for r in range(R):
        line = np.full(bl, position * tile_rows + r)
        draw = draws(line, slots // 16, slots % 16, line, slots, (UPDATE_ROW, tile, sample), key)
        rows[:, r] = draw < threshold(d, cd)[r]
    for slot in range(bl):
        index = np.full(C, position << 5 | slot)
        draw = draws(
            numbers // 16, index, numbers % 16, numbers, index, (UPDATE_COLUMN, tile, sample), key
        )
        columns[slot] = draw < threshold(x, cx)
    return rows, columns
