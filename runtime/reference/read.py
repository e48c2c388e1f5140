"""One read of one tile, in NumPy (Gokmen, Onen & Haensch 2017): what `kernels.read` computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals, words
from rpucc.runtime.scalars.philox import DAC_ROUNDING

Array = NDArray[np.float64]


def reduction(x: Array, s: float, n: int, worst_case: float) -> float:
    """What re-read n divides x / s by; worst_case: assumed |w| over alpha, or 0 for 2^n."""
    if worst_case == 0 or n == 0:
        return float(2**n)
    return max(2.0, float(np.sum(np.abs(x))) / s * worst_case)


def convert(
    x: Array, bits: int, stochastic: bool, elements: NDArray[np.int64], index: int,
    address: tuple[int, int], key: tuple[int, int],
) -> Array:  # fmt: skip
    """DAC of x [C]: clipped to ±1, rounded to the nearest level or, stochastic, by chance."""
    levels = 2 ** (bits - 1) - 1
    steps = np.clip(x, -1, 1) * levels
    if not stochastic:
        return np.asarray(np.floor(steps + 0.5) / levels)
    drawn = words(elements, index, address[0] + (DAC_ROUNDING << 24), address[1], key)
    up = (drawn >> 8) / 2.0**24 < steps - np.floor(steps)
    return np.asarray((np.floor(steps) + up) / levels)


def wire_loss(W: Array, x: Array) -> Array:
    """What nominal wires take from W x (`rpucc.stages.ir_drop`)."""
    n = len(x)
    a = n * 0.35 * 5e-6 * (np.abs(W) @ np.abs(x))
    far = W @ (x * (1 - (1 - np.arange(n) / n) ** 2))
    return np.asarray((0.05 * a**3 - 0.2 * a**2 + 0.5 * a) * far)


def read_tile(
    W: Array, x: Array, position: int, address: tuple[int, int], key: tuple[int, int], *,
    noise: float, bound: float, dac_bits: int, adc_bits: int, noise_managed: bool,
    max_halvings: int, worst_case: float = 0.0, dac_stochastic: bool = False, place: int = 0,
    ir_drop: float = 0.0,
) -> tuple[Array, int, bool]:  # fmt: skip
    """Read W [R, C] with x [C] at a position: (y [R], re-reads, whether it still saturates).

    address: (purpose << 24 | tile, sample); place: which of the layer's reads;
    bits and bound 0 mean none; worst_case: see `reduction`.
    """
    s = float(np.max(np.abs(x))) if noise_managed else 1.0
    if s == 0:
        return np.zeros(len(W)), 0, False
    alpha = bound or np.inf
    outputs, inputs = (position * size + np.arange(size) for size in W.shape)
    for n in range(max_halvings + 1):
        factor, index = reduction(x, s, n, worst_case), place << 8 | n
        x_dac = x / s / factor
        if dac_bits:
            x_dac = convert(x_dac, dac_bits, dac_stochastic, inputs, index, address, key)
        a = W @ x_dac - ir_drop * wire_loss(W, x_dac)
        a += noise * normals(outputs, index, *address, key)
        saturated = bool(np.any(np.abs(a) >= alpha))
        if not saturated:
            break
    a = np.clip(a, -alpha, alpha)
    if adc_bits:
        step = 2 * alpha / (2**adc_bits - 2)
        a = np.floor(a / step + 0.5) * step
    return a * s * factor, n, saturated
