"""The stochastic pulsed update of one tile, in NumPy (Gokmen & Vlasov 2016).

The same draws as the compiled kernel, one pulse at a time: the two agree draw for draw. For that
the thresholds that draws are compared with are float32 here too; all else is float64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.philox import PULSE_NOISE, UPDATE_COLUMN, UPDATE_ROW
from rpucc.runtime.reference.philox import normals, philox, words

Array = NDArray[np.float64]


def gains(
    x: Array, d: Array, lr: float, dw_min: float, bl_max: int, managed: bool, bl_managed: bool
) -> tuple[int, float, float]:
    """(BL, Cx, Cd) of one update; see physics.md section 3."""
    x_max, d_max = np.max(np.abs(x)), np.max(np.abs(d))
    if d_max == 0 or x_max == 0:
        return 0, 0.0, 0.0
    bl = bl_max
    if bl_managed:
        bl = int(np.clip(np.ceil(lr * x_max * d_max / dw_min), 1, bl_max))
    k = np.sqrt(lr / (bl * dw_min))
    m = np.sqrt(d_max / x_max) if managed else 1.0
    return bl, k * m, k / m


def threshold(values: Array, gain: float) -> NDArray[np.float32]:
    """A line fires when its 24-bit draw lies below this: 2^24 times its probability."""
    scaled = np.abs(values).astype(np.float32) * np.float32(gain)
    return np.asarray(scaled * np.float32(2**24), np.float32)


def update_tile(
    W: Array, x: Array, d: Array, position: int, counts: NDArray[np.int64],
    step: Callable[[float, float, float, int, int], float], tile: int, sample: int,
    key: tuple[int, int], bl: int, cx: float, cd: float,
) -> int:  # fmt: skip
    """Pulse W [R, C] in place with x [C] and d [R]; returns the number of pulses.

    step(w, direction, noise, r, c) is the device; counts [R]: pulses that each row had before in
    this sample (they number the noise draws), brought up to date here.
    """
    R, C = W.shape
    pulses = 0
    slots = np.arange(bl)
    for r in range(R):
        counter = np.zeros((bl, 4), np.uint32)
        counter[:, 0], counter[:, 1] = position * R + r, slots // 4
        counter[:, 2], counter[:, 3] = UPDATE_ROW << 24 | tile, sample
        draw = philox(counter, key)[slots, slots % 4] >> 8
        for slot in slots[draw < threshold(d, cd)[r]]:
            index = position << 5 | int(slot)
            draw = words(np.arange(C), index, UPDATE_COLUMN << 24 | tile, sample, key) >> 8
            for c in np.flatnonzero(draw < threshold(x, cx)):
                word = PULSE_NOISE << 24 | tile
                noise = float(normals(counts[r : r + 1], r, word, sample, key)[0])
                W[r, c] = step(W[r, c], -float(np.sign(d[r] * x[c])), noise, r, int(c))
                counts[r] += 1
                pulses += 1
    return pulses
