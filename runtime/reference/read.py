"""One read of one tile, in NumPy (Gokmen, Onen & Haensch 2017): what `kernels.read` computes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.reference.philox import normals

Array = NDArray[np.float64]


def read_tile(
    W: Array, x: Array, position: int, address: tuple[int, int], key: tuple[int, int], *,
    noise: float, bound: float, dac_bits: int, adc_bits: int, noise_managed: bool,
    max_halvings: int, place: int = 0,
) -> tuple[Array, int, bool]:  # fmt: skip
    """Read W [R, C] with x [C] at a position: (y [R], re-reads, whether it still saturates).

    address: (purpose << 24 | tile, sample); place: which of the layer's reads;
    bits and bound 0 mean none.
    """
    s = float(np.max(np.abs(x))) if noise_managed else 1.0
    if s == 0:
        return np.zeros(len(W)), 0, False
    alpha = bound or np.inf
    elements = position * len(W) + np.arange(len(W))
    for n in range(max_halvings + 1):
        x_dac = x / s / 2**n
        if dac_bits:
            levels = 2 ** (dac_bits - 1) - 1
            x_dac = np.floor(np.clip(x_dac, -1, 1) * levels + 0.5) / levels
        a = W @ x_dac + noise * normals(elements, place << 8 | n, *address, key)
        saturated = bool(np.any(np.abs(a) >= alpha))
        if not saturated:
            break
    a = np.clip(a, -alpha, alpha)
    if adc_bits:
        step = 2 * alpha / (2**adc_bits - 2)
        a = np.floor(a / step + 0.5) * step
    return a * s * 2**n, n, saturated
