"""Rounding that stays in float32 vectors (Python's `math.floor` would go through int64)."""

from __future__ import annotations

import numba as nb
from llvmlite import ir
from numba.extending import intrinsic


@intrinsic
def floor(typing_context, x):
    """The largest integer not above x, as a float32: one vroundps."""

    def code(context, builder, signature, arguments):
        function = builder.module.declare_intrinsic("llvm.floor", [ir.FloatType()])
        return builder.call(function, arguments)

    return nb.float32(nb.float32), code
