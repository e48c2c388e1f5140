"""Random assignment of positions to copies of a layer, and its inverse."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.copies import copy
from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.philox import ASSIGN, below, philox

f32 = nb.float32
u32 = nb.uint32


@kernel
def draw_order(order, sample, layer, evaluating, k0, k1):
    """A random permutation of int32 `order` (Fisher-Yates), addressed by layer and sample."""
    for i in range(order.shape[0]):
        order[i] = i
    for i in range(order.shape[0] - 1, 0, -1):
        word = u32(u32(ASSIGN << 24) | u32(layer))
        a, b, _, _ = philox(u32(i), u32(evaluating), word, u32(sample), u32(k0), u32(k1))
        j = below(a, b, i + 1)
        order[i], order[j] = order[j], order[i]


@kernel
def assign(x, shares, order, sample0, layer, evaluating, k0, k1):
    """shares[n, i] = x[n, order[i]], zeros behind the last position.

    x: float32 [N, P, C]; shares: [N, n·Q, C]; order: scratch, int32 [P], drawn for each sample.
    """
    positions = x.shape[1]
    for n in range(x.shape[0]):
        draw_order(order, sample0 + n, layer, evaluating, k0, k1)
        for i in range(positions):
            copy(x[n, order[i]], shares[n, i])
        shares[n, positions:] = f32(0)


@kernel
def collect(shares, y, order, sample0, layer, evaluating, k0, k1):
    """y[n, order[i]] = shares[n, i], the inverse of `assign`."""
    for n in range(y.shape[0]):
        draw_order(order, sample0 + n, layer, evaluating, k0, k1)
        for i in range(y.shape[1]):
            copy(shares[n, i], y[n, order[i]])
