"""Standard normals: Box-Muller on Philox words, with polynomials that vectorise.

Each counter's four words give four normals (Box & Muller 1958): radius from word 0 (2), angle
from word 1 (3). The radius uses 24 bits, so |z| <= 5.77 (beyond: 8e-9 of a true normal's mass).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpucc.runtime.scalars.floats import bits_of, float_of

f32 = np.float32
i32 = np.int32
u32 = np.uint32


def log(x: Any) -> Any:
    """Natural logarithm of a positive normal float32 (Cephes logf; error below 1 ulp)."""
    bits = bits_of(x)
    exponent = i32(i32(bits >> i32(23)) - i32(126))
    m = float_of(i32((bits & i32(0x007FFFFF)) | i32(0x3F000000)))  # mantissa in [0.5, 1)
    low = m < f32(0.70710678)
    m = m + m if low else m
    e = f32(exponent) - (f32(1) if low else f32(0))
    t = m - f32(1)
    z = t * t
    y = f32(7.0376836292e-2)
    y = y * t + f32(-1.1514610310e-1)
    y = y * t + f32(1.1676998740e-1)
    y = y * t + f32(-1.2420140846e-1)
    y = y * t + f32(1.4249322787e-1)
    y = y * t + f32(-1.6668057665e-1)
    y = y * t + f32(2.0000714765e-1)
    y = y * t + f32(-2.4999993993e-1)
    y = y * t + f32(3.3333331174e-1)
    y = y * t * z
    y = y + e * f32(-2.12194440e-4) - f32(0.5) * z
    return t + y + e * f32(0.693359375)


def sin_half_turns(q: Any) -> Any:
    """sin(pi q) for a float32 |q| <= 1/2 by its Taylor series to q^11 (error below 6e-8)."""
    z = q * q
    s = f32(-0.00737043)
    s = s * z + f32(0.08214589)
    s = s * z + f32(-0.59926453)
    s = s * z + f32(2.55016404)
    s = s * z + f32(-5.16771278)
    return q * (s * z + f32(3.14159265))


def box_muller(a: Any, b: Any) -> tuple[Any, Any]:
    """Two independent standard normals, float32, from two uint32 words."""
    u = f32(i32(i32(a >> u32(8)) + i32(1))) * f32(1.0 / 16777216.0)  # (0, 1]
    radius = f32(math.sqrt(f32(-2) * log(u)))
    v = f32(i32(i32(b) >> i32(8))) * f32(1.0 / 8388608.0)  # [-1, 1): the angle is pi v
    turn = abs(v)
    cosine = sin_half_turns(f32(0.5) - turn)
    sine = sin_half_turns(turn if turn <= f32(0.5) else f32(1) - turn)
    return radius * cosine, radius * (-sine if v < f32(0) else sine)
