"""Exponentials and powers of a float32, in straight-line code that vectorises.

Theirs is float32 whatever they are given: a libm call for each element, which does not vectorise,
takes ten times as long.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpucc.runtime.scalars.floats import float_of
from rpucc.runtime.scalars.normals import log

f32 = np.float32
i32 = np.int32

LEAST = f32(1.17549435e-38)
_LARGEST = f32(87.0)
_LOG2_E = f32(1.44269504)
_LN2_HIGH, _LN2_LOW = f32(0.693359375), f32(-2.12194440e-4)


def exp(x: Any) -> Any:
    """e^x of |x| <= 87, of which what is beyond is cut (Cephes expf; relative error below 4e-7)."""
    v = min(max(f32(x), -_LARGEST), _LARGEST)
    n = i32(v * _LOG2_E + (f32(0.5) if v >= f32(0) else f32(-0.5)))  # to the nearest
    k = f32(n)
    r = v - k * _LN2_HIGH - k * _LN2_LOW
    y = f32(1.9875691500e-4)
    y = y * r + f32(1.3981999507e-3)
    y = y * r + f32(8.3334519073e-3)
    y = y * r + f32(4.1665795894e-2)
    y = y * r + f32(1.6666665459e-1)
    y = y * r + f32(5.0000001201e-1)
    y = y * r * r + r + f32(1)
    return y * float_of(i32((n + i32(127)) << i32(23)))


def power(x: Any, y: Any) -> Any:
    """x^y of 0 <= x <= 1 and y >= 0 (0^0 is 1; relative error below 5e-6)."""
    v, p = f32(x), f32(y)
    some = exp(p * log(max(v, LEAST)))
    return some if (v > f32(0)) | (p == f32(0)) else f32(0)
