"""Float32 as bits, and rounding down."""

from __future__ import annotations

from typing import Any

import numpy as np

i32 = np.int32
f32 = np.float32


def bits_of(x: Any) -> Any:
    """The bits of a float32 as an int32."""
    return x.view(i32)


def float_of(bits: Any) -> Any:
    """The float32 that has the given int32's bits."""
    return bits.view(f32)


def floor(x: Any) -> Any:
    """The largest integer not above x, as a float32 like x."""
    return np.floor(x)


def magnitude_bits(x: Any) -> Any:
    """The bits of |x|, a float32, as an int32: they order as |x| does, and NaN is largest."""
    return bits_of(x) & i32(0x7FFFFFFF)
