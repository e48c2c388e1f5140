"""Float32 primitives: `runtime/scalars/floats.py` compiled, and what is made of them."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.bits import bits_of, float_of
from rpucc.runtime.kernels.jit import inlined
from rpucc.runtime.scalars import floats as scalars

__all__ = ["bits_of", "float_of", "floor", "largest_magnitude", "magnitude_bits", "whole"]

floor = inlined(scalars.floor)
magnitude_bits = inlined(scalars.magnitude_bits)
whole = inlined(scalars.whole)


@inlined
def largest_magnitude(x):
    """max |x| of a vector (0 when empty): integer maxima vectorise, Python's of floats do not."""
    largest = nb.int32(0)
    for i in range(x.shape[0]):
        largest = max(largest, magnitude_bits(x[i]))
    return float_of(largest)
