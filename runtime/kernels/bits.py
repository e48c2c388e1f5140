"""A float32's bits in one instruction, for `scalars.floats`: Numba's own `view` is a call.

That call keeps Numba from leaving out reference counts around it.
"""

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
