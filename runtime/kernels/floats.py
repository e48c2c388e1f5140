"""Float32 primitives that Numba has no vectorising spelling for."""

from __future__ import annotations

import numba as nb
from llvmlite import ir
from numba.extending import intrinsic

from rpucc.runtime.kernels.jit import inlined


@intrinsic
def bits_of(typing_context, x):
    """The bits of a float32 as an int32."""

    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return nb.int32(nb.float32), code


@intrinsic
def float_of(typing_context, x):
    """The float32 that has the given int32's bits."""

    def code(context, builder, signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return nb.float32(nb.int32), code


@intrinsic
def floor(typing_context, x):
    """The largest integer not above x, as a float32 (`math.floor` would go through int64)."""

    def code(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.floor", [ir.FloatType()])
        return builder.call(function, arguments)

    return nb.float32(nb.float32), code


@inlined
def magnitude_bits(x):
    """The bits of |x| as an int32: they order as |x| does, and integer maxima vectorise.

    (LLVM leaves Python's `max` of floats scalar.) NaN is above every number.
    """
    return bits_of(x) & nb.int32(0x7FFFFFFF)


@inlined
def largest_magnitude(x):
    """max |x| of a vector (0 when empty)."""
    largest = nb.int32(0)
    for i in range(x.shape[0]):
        largest = max(largest, magnitude_bits(x[i]))
    return float_of(largest)
