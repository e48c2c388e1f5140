"""Activation functions of a float32, and their slopes from what they gave."""

from __future__ import annotations

from typing import Any

import numpy as np

f32 = np.float32

NONE, TANH, RELU, SIGMOID = range(4)

# tanh x = x a(x²) / b(x²), the minimax polynomials of Eigen (MPL 2.0), good to a few ulp.
_CLAMP = np.float32(7.90531110763549805)
_A1, _A3, _A5, _A7, _A9, _A11, _A13 = (
    np.float32(a)
    for a in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
_B0, _B2, _B4, _B6 = (
    np.float32(b)
    for b in (
        4.89352518554385e-03,
        2.26843463243900e-03,
        1.18534705686654e-04,
        1.19825839466702e-06,
    )
)


def tanh(x: Any) -> Any:
    """Tanh of a float32, in straight-line code that vectorises."""
    v = min(max(x, -_CLAMP), _CLAMP)
    s = v * v
    a = _A1 + s * (_A3 + s * (_A5 + s * (_A7 + s * (_A9 + s * (_A11 + s * _A13)))))
    b = _B0 + s * (_B2 + s * (_B4 + s * _B6))
    return min(max(v * a / b, f32(-1)), f32(1))


def relu(x: Any) -> Any:
    """The larger of x and 0."""
    return max(x, f32(0))


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)), as half of tanh and one."""
    return f32(0.5) + f32(0.5) * tanh(f32(0.5) * x)


def slope(g: Any, y: Any, kind: int) -> Any:
    """g f'(x), from y = f(x)."""
    if kind == TANH:
        return g * (f32(1) - y * y)
    if kind == RELU:
        return g if y > f32(0) else f32(0)
    if kind == SIGMOID:
        return g * (y * (f32(1) - y))
    return g
