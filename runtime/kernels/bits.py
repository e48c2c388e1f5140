"""What is done to bits in one instruction; `scalars.floats` takes a float32's from here."""

from __future__ import annotations

import numba as nb
from llvmlite import ir
from numba.extending import intrinsic


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
def lowest_bit(typing_context, x):
    """The number of the lowest bit that is set in a uint32 other than 0, as an int64."""

    def code(context, builder, signature, arguments):
        found = builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))
        return builder.zext(found, ir.IntType(64))

    return nb.int64(nb.uint32), code
