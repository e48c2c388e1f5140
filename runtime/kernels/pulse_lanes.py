"""Steps of the update on 16 lanes at once, spelled as vectors because LLVM does not find them.

What a loop vectoriser cannot do: append the flagged lanes to a list without a branch (one
instruction on AVX-512, a short run of stores elsewhere), and rows so short (16 rows, 26 columns)
that an unrolled loop never gets started. Vectors are written whole, so lists end in 16 spare
entries; inputs are read up to their length only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba as nb
from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.extending import intrinsic

LANES = 16

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F32 = ir.FloatType()
BITS, BYTES, WORDS, FLOATS = (ir.VectorType(e, LANES) for e in (I1, I8, I32, F32))
NAMES = {str(I1): "i1", str(I8): "i8", str(I32): "i32", str(F32): "f32"}
IOTA = ir.Constant(WORDS, list(range(LANES)))
# Of float32: the bits of its largest number, and of 2^24, the level of a line that always fires.
LARGEST, ALWAYS = 0x7F7FFFFF, 0x4B800000
# A product and the sum it goes into may be rounded once. Operations that say so are spared the
# other flags of fast math: those would make NaN and infinity undefined.
FUSED = ("contract",)


class Lanes:
    """Writes the vector code of one intrinsic; `args` are its arguments, indices as int64."""

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Sequence[Any]):
        self.context, self.builder, self.types = context, builder, signature.args
        self.args = [
            context.cast(builder, value, kind, types.int64)
            if isinstance(kind, types.Integer | types.IntegerLiteral)
            else value
            for value, kind in zip(arguments, signature.args, strict=True)
        ]

    def pointer(self, k: int, index: Any, element: Any) -> Any:
        """Where element `index` of array argument k lies, as a pointer to `element`."""
        array = self.context.make_array(self.types[k])(self.context, self.builder, self.args[k])
        start = self.builder.gep(array.data, [index])
        return self.builder.bitcast(start, element.as_pointer())

    def load(self, k: int, index: Any, vector: Any) -> Any:
        """16 elements of array argument k."""
        return self.builder.load(self.pointer(k, index, vector), align=self._align(vector))

    def store(self, value: Any, k: int, index: Any) -> None:
        """Write 16 elements of array argument k."""
        at = self.pointer(k, index, value.type)
        self.builder.store(value, at, align=self._align(value.type))

    def load_upto(self, k: int, index: Any, count: Any) -> Any:
        """16 floats of array argument k; 0 from element `count` on, which is not read."""
        left = self.builder.trunc(self.builder.sub(count, index), I32)
        mask = self.builder.icmp_signed("<", IOTA, self.all(left))
        pointer = self.pointer(k, index, FLOATS)
        kinds = [pointer.type, I32, BITS, FLOATS]
        load = self.declare("llvm.masked.load.v16f32.p0", FLOATS, kinds)
        zeros = ir.Constant(FLOATS, [0.0] * LANES)
        return self.builder.call(load, [pointer, I32(4), mask, zeros])

    def all(self, scalar: Any) -> Any:
        """A vector with `scalar` in every lane."""
        vector = ir.VectorType(scalar.type, LANES)
        one = self.builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, I32(0))
        zeros = ir.Constant(WORDS, [0] * LANES)
        return self.builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), zeros)

    def compress(self, values: Any, mask: Any, k: int, index: Any) -> None:
        """Write the int32 lanes in `mask` side by side to array argument k."""
        name = "llvm.experimental.vector.compress.v16i32"
        function = self.declare(name, WORDS, [WORDS, BITS, WORDS])
        undefined = ir.Constant(WORDS, ir.Undefined)
        self.store(self.builder.call(function, [values, mask, undefined]), k, index)

    def count(self, mask: Any) -> Any:
        """How many lanes are in `mask`, as an int64."""
        function = self.declare("llvm.ctpop.i16", I16, [I16])
        bits = self.builder.call(function, [self.builder.bitcast(mask, I16)])
        return self.builder.zext(bits, I64)

    def magnitudes(self, values: Any) -> Any:
        """The bits of |values| as int32: they order as the magnitudes do."""
        bits = self.builder.bitcast(values, WORDS)
        return self.builder.and_(bits, ir.Constant(WORDS, [0x7FFFFFFF] * LANES))

    def levels(self, values: Any, gain: Any) -> Any:
        """ceil(min(|values| gain, 2^24)): the number of 24-bit draws for which a line fires.

        2^24 for infinity and NaN; 0 for 0 times any gain, because the lanes behind the last column
        are zeros that must not fire. Bits are compared: fast math reckons without NaN.
        """
        b = self.builder
        finite = b.and_(b.bitcast(gain, I32), I32(0x7FFFFFFF))
        finite = b.select(b.icmp_unsigned("<", finite, I32(LARGEST)), finite, I32(LARGEST))
        sizes = b.bitcast(self.magnitudes(values), FLOATS)
        size = b.fmul(sizes, self.all(b.bitcast(finite, F32)), flags=FUSED)
        bits, top = b.bitcast(size, WORDS), ir.Constant(WORDS, [ALWAYS] * LANES)
        limit = b.bitcast(b.select(b.icmp_unsigned("<", bits, top), bits, top), FLOATS)
        level = b.fptosi(limit, WORDS)
        above = b.fcmp_ordered("<", b.sitofp(level, FLOATS), limit)
        return b.add(level, b.zext(above, WORDS))

    def declare(self, name: str, result: Any, kinds: Sequence[Any]) -> Any:
        """The LLVM intrinsic `name`."""
        kind = ir.FunctionType(result, kinds)
        return get_or_insert_function(self.builder.module, kind, name)

    @staticmethod
    def _align(vector: Any) -> int:
        return 1 if vector.element == I8 else 4


@intrinsic
def largest16(typing_context: Any, values: Any, at: Any, count: Any) -> Any:
    """The bits (int32) of the largest |values[at + i]|, i = 0 .. 15, below element `count`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        found = lanes.magnitudes(lanes.load_upto(0, *lanes.args[1:]))
        reduce = lanes.declare("llvm.vector.reduce.smax.v16i32", I32, [WORDS])
        return builder.call(reduce, [found])

    return nb.int32(values, at, count), code


@intrinsic
def list16(
    typing_context: Any, d: Any, at: Any, count: Any, gain: Any, code_of_first: Any, n: Any,
    lines: Any, levels: Any,
) -> Any:  # fmt: skip
    """Append the lines at .. at + 15 (below `count`) with d != 0; returns how many.

    lines[n:] get code_of_first + at + i, levels[n:] how many of the 2^24 draws fire them.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, at, count, gain, first, n, _, _ = lanes.args
        d = lanes.load_upto(0, at, count)
        mask = builder.icmp_unsigned("!=", lanes.magnitudes(d), ir.Constant(WORDS, [0] * LANES))
        start = lanes.all(builder.trunc(builder.add(first, at), I32))
        lanes.compress(builder.add(start, IOTA), mask, 6, n)
        lanes.compress(lanes.levels(d, gain), mask, 7, n)
        return lanes.count(mask)

    return nb.int64(d, at, count, nb.float32, code_of_first, n, lines, levels), code


@intrinsic
def keep16(typing_context: Any, flags: Any, values: Any, at: Any, n: Any) -> Any:
    """Move those of elements at .. at + 15 with flags != 0 to n (<= at) on, in both arrays."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        at, n = lanes.args[2:]
        flags, values = lanes.load(0, at, WORDS), lanes.load(1, at, WORDS)
        mask = builder.icmp_unsigned("!=", flags, ir.Constant(WORDS, [0] * LANES))
        lanes.compress(flags, mask, 0, n)
        lanes.compress(values, mask, 1, n)
        return lanes.count(mask)

    return nb.int64(flags, values, at, n), code


@intrinsic
def levels16(
    typing_context: Any, x: Any, at: Any, count: Any, gain: Any, levels: Any, tops: Any, signs: Any
) -> Any:
    """Of columns at .. at + 15: how many of the 2^24 draws fire them, its top byte, x's sign.

    The top byte is at most 255: what remains of the level is then up to 65536.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, at, count, gain = lanes.args[:4]
        x = lanes.load_upto(0, at, count)
        level = lanes.levels(x, gain)
        lanes.store(level, 4, at)
        top = builder.lshr(level, ir.Constant(WORDS, [16] * LANES))
        most = ir.Constant(WORDS, [255] * LANES)
        top = builder.select(builder.icmp_signed("<", top, most), top, most)
        lanes.store(builder.trunc(top, BYTES), 5, at)
        negative = builder.icmp_signed(
            "<", builder.bitcast(x, WORDS), ir.Constant(WORDS, [0] * LANES)
        )
        minus, plus = (ir.Constant(BYTES, [value] * LANES) for value in (-1, 1))
        lanes.store(builder.select(negative, minus, plus), 6, at)
        return context.get_dummy_value()

    return nb.void(x, at, count, nb.float32, levels, tops, signs), code


@intrinsic
def fire16(
    typing_context: Any, draws: Any, o: Any, at: Any, tops: Any, signs: Any, out: Any,
    columns: Any, n: Any,
) -> Any:  # fmt: skip
    """The columns at .. at + 15 whose draw's top byte decides that they fire.

    Byte draws[o + at + i] < tops[at + i]: out[o + at + i] = signs[at + i], else 0; their numbers
    go to columns[n:]. Returns their count, and in the bits from 32 on whose byte equals its top.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, o, at, _, _, _, _, n = lanes.args
        here = builder.add(o, at)
        draw, top = lanes.load(0, here, BYTES), lanes.load(3, at, BYTES)
        hit = builder.icmp_unsigned("<", draw, top)
        zeros = ir.Constant(BYTES, [0] * LANES)
        lanes.store(builder.select(hit, lanes.load(4, at, BYTES), zeros), 5, here)
        start = lanes.all(builder.trunc(at, I32))
        lanes.compress(builder.add(start, IOTA), hit, 6, n)
        tied = builder.bitcast(builder.icmp_unsigned("==", draw, top), I16)
        tied = builder.zext(tied, I64)
        return builder.add(lanes.count(hit), builder.shl(tied, I64(32)))

    return nb.int64(draws, o, at, tops, signs, out, columns, n), code


@intrinsic
def list_fired16(typing_context: Any, out: Any, o: Any, at: Any, columns: Any, n: Any) -> Any:
    """Write the columns at .. at + 15 with out[o + at + i] != 0 to columns[n:]; how many."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, o, at, _, n = lanes.args
        fired = lanes.load(0, builder.add(o, at), BYTES)
        mask = builder.icmp_unsigned("!=", fired, ir.Constant(BYTES, [0] * LANES))
        start = lanes.all(builder.trunc(at, I32))
        lanes.compress(builder.add(start, IOTA), mask, 3, n)
        return lanes.count(mask)

    return nb.int64(out, o, at, columns, n), code


@intrinsic
def expand16(typing_context: Any, values: Any, n: Any, signs: Any, at: Any, out: Any) -> Any:
    """Spread values[n:] over the lanes with signs[at + i] != 0, out[at + i]; returns how many."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, n, _, at, _ = lanes.args
        zeros = ir.Constant(BYTES, [0] * LANES)
        mask = builder.icmp_unsigned("!=", lanes.load(2, at, BYTES), zeros)
        pointer = lanes.pointer(0, n, F32)
        load = lanes.declare("llvm.masked.expandload.v16f32", FLOATS, [pointer.type, BITS, FLOATS])
        found = builder.call(load, [pointer, mask, ir.Constant(FLOATS, [0.0] * LANES)])
        lanes.store(found, 4, at)
        return lanes.count(mask)

    return nb.int64(values, n, signs, at, out), code


@intrinsic
def reach16(
    typing_context: Any, values: Any, at: Any, count: Any, least: Any, out: Any, n: Any
) -> Any:
    """Append to out[n:] which of values[at : at + 16] have a magnitude of `least` > 0 or more.

    Those from element `count` on are left out. Returns how many there are.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = Lanes(context, builder, signature, arguments)
        _, at, count, least, _, n = lanes.args
        found = lanes.magnitudes(lanes.load_upto(0, at, count))
        mask = builder.icmp_signed(">=", found, lanes.all(builder.bitcast(least, I32)))
        start = lanes.all(builder.trunc(at, I32))
        lanes.compress(builder.add(start, IOTA), mask, 4, n)
        return lanes.count(mask)

    return nb.int64(values, at, count, nb.float32, out, n), code
