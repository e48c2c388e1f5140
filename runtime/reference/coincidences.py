"""The counted update of constant-step devices, in NumPy: pulses of an update added at once.

The same draws as `rpucc.runtime.kernels.coincidences.update`, device by device and in float64. That
its distribution is that of `reference.update`, pulse by pulse, is shown in that kernel's docstring
and by the tests.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import philox
from rpucc.runtime.scalars.philox import PULSE_NOISE, PULSE_REPLAY

Array = NDArray[np.float64]
Bits = NDArray[np.bool_]

# As in the kernel: a device this many standard deviations of its pulse noise away is free.
REACH = 7.0


def four_normals(
    first: int, index: int, purpose: int, tile: int, sample: int, key: tuple[int, int]
) -> list[float]:
    """The four normals of one counter (Box & Muller 1958)."""
    counter = np.array([first, index, purpose << 24 | tile, sample], np.uint32)
    a, b, c, d = (int(word) for word in philox(counter, key))
    result = []
    for radius_word, angle_word in ((a, b), (c, d)):
        radius = np.sqrt(-2 * np.log(((radius_word >> 8) + 1) / 2.0**24))
        signed = angle_word - (1 << 32 if angle_word >= 1 << 31 else 0)
        angle = np.pi * (signed >> 8) / 2.0**23
        result += [float(radius * np.cos(angle)), float(radius * np.sin(angle))]
    return result


def count_tile(
    W: Array, X: Array, D: Array, fired: Sequence[tuple[Bits, Bits]], parameters: Array,
    std: float, tile: int, chunk: int, sample: int, key: tuple[int, int], single: bool,
    mask: Bits | None = None,
) -> int:  # fmt: skip
    """Apply one chunk of positions to a tile W [R, C] in place; returns the number of pulses.

    X [M, C], D [M, R]: the chunk's inputs and errors; fired[m]: which rows and columns fire in the
    slots of position m; parameters [4, R, C]: up and down step, w_max, w_min; chunk: its number
    in the update, whose first sample is `sample`; single: whether chunks hold one position, where
    a device counts as free by a simpler and somewhat wider rule; mask [R, C]: false where no pulse
    arrives, which has its draw all the same.
    """
    R, C = W.shape
    pulses = 0
    for r in range(R):
        trains = [
            [(m, -np.sign(D[m, r] * X[m, c])) for m, (rows, columns) in enumerate(fired)
             for _ in range(int(np.sum(rows[:, r] & columns[:, c])))]
            for c in range(C)
        ]  # fmt: skip
        pulsed = [c for c in range(C) if trains[c]]
        for e, c in enumerate(pulsed):
            if mask is not None and not mask[r, c]:
                continue
            index = r | chunk << 16
            noise = four_normals(e // 4, index, PULSE_NOISE, tile, sample, key)[e % 4]
            up_step, down_step, w_max, w_min = parameters[:, r, c]
            directions = [direction for _, direction in trains[c]]
            up, down = directions.count(1.0), directions.count(-1.0)
            pulses += up + down
            rise, fall = up * up_step, down * down_step
            deviation = std * np.sqrt(up * up_step**2 + down * down_step**2)
            far = np.array([rise, fall]) + REACH * deviation
            if single:
                far = np.full(2, (rise + fall) * (1 + REACH * std))
            if W[r, c] + far[0] <= w_max and W[r, c] - far[1] >= w_min:
                towards = directions[0] if single else 1.0  # noise counts along the pulses there
                W[r, c] += rise - fall + deviation * noise * towards
                continue
            for j, direction in enumerate(directions):
                noise = four_normals(c << 13 | j // 4, index, PULSE_REPLAY, tile, sample, key)[
                    j % 4
                ]
                dw = direction * (up_step if direction > 0 else down_step)
                W[r, c] = np.clip(W[r, c] + dw * (1 + std * noise), w_min, w_max)
    return pulses
