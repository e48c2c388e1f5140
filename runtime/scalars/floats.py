"""Float32 as bits, and whole numbers of it."""

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


def whole(x: Any, top: Any) -> Any:
    """The whole part of a float32 of 0 or more, `top` (a float32, too) at most, as an int32.

    Infinity and NaN are `top`. Compared as bits, because kernels are compiled as if there were
    neither, and what becomes an index or a count must be in its range whatever came in.
    """
    return i32(float_of(min(magnitude_bits(x), bits_of(top))))
