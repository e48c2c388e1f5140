"""Moves of eight floats at once, for runs that are a little shorter: one load, one store.

A run of five floats costs a vector loop several instructions; eight cost one. Who calls these
makes sure that the places behind the run may be read, and written by what comes later.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

LANES = 8

_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)


def _at(context: Any, builder: Any, kind: Any, array: Any, offset: Any) -> Any:
    """A pointer to the eight floats at an element of a contiguous array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [offset]), _FLOATS.as_pointer())


@intrinsic
def copy_lanes(_context: Any, target: Any, t: Any, source: Any, s: Any) -> Any:
    """target[t : t + 8] = source[s : s + 8] (contiguous float32)."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        value = builder.load(_at(context, builder, kinds[2], args[2], args[3]), align=4)
        builder.store(value, _at(context, builder, kinds[0], args[0], args[1]), align=4)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64), generate


@intrinsic
def add_lanes(_context: Any, target: Any, t: Any, source: Any, s: Any, run: Any) -> Any:
    """target[t : t + run] += source[s : s + run], run <= 8; up to 8 of both are touched."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kinds = signature.args
        place = _at(context, builder, kinds[0], args[0], args[1])
        value = builder.load(_at(context, builder, kinds[2], args[2], args[3]), align=4)
        count = builder.trunc(args[4], ir.IntType(32))
        counts = builder.insert_element(ir.Constant(_INTS, ir.Undefined), count, ir.IntType(32)(0))
        zeros = ir.Constant(_INTS, [0] * LANES)
        counts = builder.shuffle_vector(counts, ir.Constant(_INTS, ir.Undefined), zeros)
        inside = builder.icmp_signed("<", ir.Constant(_INTS, list(range(LANES))), counts)
        value = builder.select(inside, value, ir.Constant(_FLOATS, [0.0] * LANES))
        builder.store(builder.fadd(builder.load(place, align=4), value), place, align=4)
        return context.get_dummy_value()

    return types.void(target, types.int64, source, types.int64, types.int64), generate
