"""Batch norm with the statistics of the batch, in double precision (Ioffe & Szegedy 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def batch_norm(
    x: Array, scale: Array, bias: Array, mean: Array, var: Array, momentum: float, epsilon: float
) -> tuple[Array, Array, Array]:
    """y, and what the running mean and variance become, for x [N, C, *space] in training."""
    axes = (0, *range(2, x.ndim))
    now, spread = x.mean(axes, np.float64), x.var(axes, np.float64)
    y = (x - _column(now, x)) / _column(np.sqrt(spread + epsilon), x)
    y = y * _column(scale, x) + _column(bias, x)
    return y, mean * momentum + now * (1 - momentum), var * momentum + spread * (1 - momentum)


def batch_norm_gradient(
    d: Array, x: Array, scale: Array, epsilon: float
) -> tuple[Array, Array, Array]:
    """Gradients of x, scale and bias from that of y, d, through the statistics of the batch."""
    axes = (0, *range(2, x.ndim))
    deviation = _column(np.sqrt(x.var(axes, np.float64) + epsilon), x)
    hat = (x - _column(x.mean(axes, np.float64), x)) / deviation
    dscale, dbias = (d * hat).sum(axes), d.sum(axes)
    count = x.size // x.shape[1]
    through = (_column(dbias, x) + hat * _column(dscale, x)) / count
    return (d - through) / deviation * _column(scale, x), dscale, dbias


def _column(vector: Array, x: Array) -> Array:
    """[C] so that it broadcasts to x [N, C, *space]."""
    return vector.reshape(-1, *[1] * (x.ndim - 2))
