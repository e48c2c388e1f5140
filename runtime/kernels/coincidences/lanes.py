"""Steps of the counted update on 16 lanes at once (`kernels/pulse_lanes.py` says why).

Columns come in blocks of 16 with their firing bits in 16-bit words, one bit a slot. Buffers of
bits, signs and counts are padded to whole blocks with zeros; rows of weights are not, so they are
read and written under a mask. Device parameters may be read up to 15 entries behind a row.
"""

from __future__ import annotations

from typing import Any

import numba as nb
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from rpucc.runtime.kernels.pulse_lanes import (
    BITS,
    BYTES,
    F32,
    FLOATS,
    FUSED,
    I16,
    I32,
    I64,
    IOTA,
    LANES,
    WORDS,
    Lanes,
)

SHORTS = ir.VectorType(I16, LANES)


class CountLanes(Lanes):
    """What the counted update adds to `Lanes`."""

    def shorts(self, value: int) -> Any:
        """A vector of 16-bit integers, all `value`."""
        return ir.Constant(SHORTS, [value] * LANES)

    def load_shorts(self, k: int, at: Any) -> Any:
        """16 16-bit elements of array argument k."""
        return self.builder.load(self.pointer(k, at, SHORTS), align=2)

    def store_shorts(self, value: Any, k: int, at: Any) -> None:
        """Write 16 16-bit elements of array argument k."""
        self.builder.store(value, self.pointer(k, at, SHORTS), align=2)

    def ones(self, shorts: Any) -> Any:
        """How many bits are set in each 16-bit lane."""
        count = self.declare("llvm.ctpop.v16i16", SHORTS, [SHORTS])
        return self.builder.call(count, [shorts])

    def coincidences(self, row: Any, k: int, at: Any) -> Any:
        """In how many of the slots `row` each of 16 columns, bits[at:] in argument k, fires."""
        slots = self.all(self.builder.trunc(row, I16))
        return self.ones(self.builder.and_(slots, self.load_shorts(k, at)))

    def bits(self, mask: Any) -> Any:
        """The lanes in `mask` as the low 16 bits of an int64."""
        return self.builder.zext(self.builder.bitcast(mask, I16), I64)

    def mask(self, bits: Any) -> Any:
        """The lanes that are set in the low 16 bits of an int64."""
        return self.builder.bitcast(self.builder.trunc(bits, I16), BITS)

    def floats(self, small: Any) -> Any:
        """Unsigned 8- or 16-bit lanes as float32."""
        return self.builder.sitofp(self.builder.zext(small, WORDS), FLOATS)

    def scalar(self, k: int, index: int) -> Any:
        """Element `index` of the float32 array argument k, in every lane."""
        return self.all(self.builder.load(self.pointer(k, I64(index), F32), align=4))

    def linear(self, codes: Any, low: Any, scale: Any) -> Any:
        """low + scale codes: what packed parameters stand for."""
        product = self.builder.fmul(self.floats(codes), scale, flags=FUSED)
        return self.builder.fadd(product, low, flags=FUSED)

    def expanded(self, k: int, n: Any, mask: Any) -> Any:
        """Elements n .. of the float32 array argument k, spread over the lanes in `mask`."""
        pointer = self.pointer(k, n, F32)
        load = self.declare("llvm.masked.expandload.v16f32", FLOATS, [pointer.type, BITS, FLOATS])
        return self.builder.call(load, [pointer, mask, ir.Constant(FLOATS, [0.0] * LANES)])

    def store_masked(self, value: Any, k: int, at: Any, mask: Any) -> None:
        """Write the float lanes in `mask` to array argument k."""
        pointer = self.pointer(k, at, FLOATS)
        kinds = [FLOATS, pointer.type, I32, BITS]
        store = self.declare("llvm.masked.store.v16f32.p0", ir.VoidType(), kinds)
        self.builder.call(store, [value, pointer, I32(4), mask])

    def load_masked(self, k: int, at: Any, mask: Any) -> Any:
        """The float lanes in `mask` of array argument k; others are 0 and not read."""
        pointer = self.pointer(k, at, FLOATS)
        kinds = [pointer.type, I32, BITS, FLOATS]
        load = self.declare("llvm.masked.load.v16f32.p0", FLOATS, kinds)
        return self.builder.call(load, [pointer, I32(4), mask, ir.Constant(FLOATS, [0.0] * LANES)])

    def load_inside(self, k: int, o: Any, at: Any, columns: Any) -> Any:
        """16 floats of array argument k from o on; 0, and not read, from column `columns` on."""
        start = self.builder.sub(o, at)
        return self.load_upto(k, o, self.builder.add(start, columns))

    def store_free(
        self, o: Any, plane: Any, ranges: int, w: Any, change: Any, up: Any, down: Any, mask: Any
    ) -> Any:
        """Write w + change where w + up and w - down keep to the device's own bounds.

        Arguments 0 and 1 are W and codes. Returns the lanes that do not, as the bits of an int64.
        """
        builder, codes = self.builder, []
        for i in (2, 3):
            start = builder.add(o, builder.mul(plane, I64(i)))
            low, scale = self.scalar(ranges, 2 * i), self.scalar(ranges, 2 * i + 1)
            codes.append(self.linear(self.load_shorts(1, start), low, scale))
        above = builder.fcmp_ordered(">", builder.fadd(w, up), codes[0])
        below = builder.fcmp_ordered("<", builder.fsub(w, down), codes[1])
        near = builder.and_(mask, builder.or_(above, below))
        self.store_masked(builder.fadd(w, change), 0, o, builder.and_(mask, builder.not_(near)))
        return self.bits(near)


@intrinsic
def popcount(typing_context: Any, bits: Any) -> Any:
    """How many of the low 16 bits of an integer are set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        return lanes.count(lanes.mask(lanes.args[0]))

    return nb.int64(bits), code


@intrinsic
def fire_bits16(
    typing_context: Any, draws: Any, o: Any, tops: Any, at: Any, bit: Any, bits: Any, b: Any
) -> Any:
    """bits[b:] |= bit for those of 16 columns whose draw's top byte decides that they fire.

    Byte draws[o + i] < tops[at + i] fires. Returns the lanes that are equal, as 16 bits.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, o, _, at, bit, _, b = lanes.args
        draw, top = lanes.load(0, o, BYTES), lanes.load(2, at, BYTES)
        hit = builder.icmp_unsigned("<", draw, top)
        new = builder.select(hit, lanes.all(builder.trunc(bit, I16)), lanes.shorts(0))
        lanes.store_shorts(builder.or_(lanes.load_shorts(5, b), new), 5, b)
        tied = builder.bitcast(builder.icmp_unsigned("==", draw, top), I16)
        return builder.zext(tied, I64)

    return nb.int64(draws, o, tops, at, bit, bits, b), code


def _is_none(kept: Any) -> bool:
    """Whether a kernel is compiled for devices that are all trained."""
    return isinstance(kept, types.BaseTuple)


@intrinsic
def has_mask(typing_context: Any, kept: Any) -> Any:
    """Whether some devices get no pulses: known when the kernel is compiled."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(ir.IntType(1), not _is_none(kept))

    return nb.boolean(kept), code


@intrinsic
def kept16(typing_context: Any, kept: Any, at: Any) -> Any:
    """Which of 16 devices are trained, kept[at], as 16 bits; all of them where there is no mask."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if _is_none(kept):
            return I64(0xFFFF)
        lanes = CountLanes(context, builder, signature, arguments)
        return builder.zext(builder.load(lanes.pointer(0, lanes.args[1], I16), align=2), I64)

    return nb.int64(kept, at), code


@intrinsic
def kept_pulses16(typing_context: Any, row: Any, bits: Any, at: Any, kept: Any) -> Any:
    """The coincidences of one row's slots with those of 16 columns that are in `kept`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        row, _, at, kept = lanes.args
        count = builder.zext(lanes.coincidences(row, 1, at), WORDS)
        zeros = ir.Constant(WORDS, [0] * LANES)
        total = lanes.declare("llvm.vector.reduce.add.v16i32", I32, [WORDS])
        kept_counts = builder.select(lanes.mask(kept), count, zeros)
        return builder.zext(builder.call(total, [kept_counts]), I64)

    return nb.int64(row, bits, at, kept), code


@intrinsic
def coincide16(typing_context: Any, row: Any, bits: Any, at: Any, listed: Any, n: Any) -> Any:
    """Count the coincidences of one row's slots with those of 16 columns, ones(row & bits[at:]).

    The counts that are not 0 are appended to the int32 list listed[n:]. Returns which lanes those
    are in the low 16 bits, and how many from bit 16 on.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        row, _, at, _, n = lanes.args
        count = lanes.coincidences(row, 1, at)
        mask = builder.icmp_unsigned("!=", count, lanes.shorts(0))
        lanes.compress(builder.zext(count, WORDS), mask, 3, n)
        return builder.or_(lanes.bits(mask), builder.shl(lanes.count(mask), I64(16)))

    return nb.int64(row, bits, at, listed, n), code


@intrinsic
def tally16(
    typing_context: Any, row: Any, bits: Any, signs: Any, at: Any, s: Any, flip: Any, total: Any,
    net: Any, o: Any,
) -> Any:  # fmt: skip
    """Add one event's coincidences: k = ones(row & bits[at:]); total[o:] += k; net[o:] += ±k.

    The sign is that of the column's x, signs[s:] (0 or -1 for a negative one), turned over if
    flip is -1 (not if it is 0).
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        row, _, _, at, s, flip, _, _, o = lanes.args
        count = lanes.coincidences(row, 1, at)
        lanes.store_shorts(builder.add(lanes.load_shorts(6, o), count), 6, o)
        sign = builder.xor(lanes.load_shorts(2, s), lanes.all(builder.trunc(flip, I16)))
        signed = builder.sub(builder.xor(count, sign), sign)
        lanes.store_shorts(builder.add(lanes.load_shorts(7, o), signed), 7, o)
        return context.get_dummy_value()

    return nb.void(row, bits, signs, at, s, flip, total, net, o), code


@intrinsic
def present16(typing_context: Any, counts: Any, at: Any, kept: Any) -> Any:
    """How many of counts[at : at + 16] are not 0; from bit 32 on the sum of those in `kept`."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        count = lanes.load_shorts(0, lanes.args[1])
        mask = builder.icmp_unsigned("!=", count, lanes.shorts(0))
        total = lanes.declare("llvm.vector.reduce.add.v16i32", I32, [WORDS])
        zeros = ir.Constant(WORDS, [0] * LANES)
        summed = builder.select(lanes.mask(lanes.args[2]), builder.zext(count, WORDS), zeros)
        total = builder.zext(builder.call(total, [summed]), I64)
        return builder.add(lanes.count(mask), builder.shl(total, I64(32)))

    return nb.int64(counts, at, kept), code


def _moves(
    lanes: CountLanes, o: Any, plane: Any, at: Any, signs: int, flip: Any, noise: int, n: Any,
    ranges: int, mask: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """(step, signed change) of 16 devices pulsed in one direction; codes are argument 1."""
    builder = lanes.builder
    sign = builder.xor(lanes.load_shorts(signs, at), lanes.all(builder.trunc(flip, I16)))
    rising = builder.icmp_signed("<", sign, lanes.shorts(0))
    up, down = lanes.load_shorts(1, o), lanes.load_shorts(1, builder.add(o, plane))
    first = builder.select(rising, lanes.scalar(ranges, 0), lanes.scalar(ranges, 2))
    scale = builder.select(rising, lanes.scalar(ranges, 1), lanes.scalar(ranges, 3))
    dw = lanes.linear(builder.select(rising, up, down), first, scale)
    change = builder.fmul(dw, lanes.expanded(noise, n, mask))
    return dw, builder.select(rising, change, builder.fneg(change))


@intrinsic
def step_one16(
    typing_context: Any, W: Any, codes: Any, o: Any, plane: Any, at: Any, pulsed: Any, signs: Any,
    flip: Any, noise: Any, n: Any, ranges: Any, limits: Any, unit: Any, reach: Any, kept: Any,
) -> Any:  # fmt: skip
    """Apply pulses to those of 16 devices of a row that got any, all in one direction.

    W[o + i] += ±dw noise, where dw is the step of that direction, for the lanes set in `pulsed`
    and in `kept`; nothing is done if any |w| + dw reach is above limits[o + i] unit. codes: up and
    down steps, `plane` entries apart; ranges: (lowest, step) of the two; signs[at:], flip: 0 or -1,
    the directions; noise[n:]: one entry a pulsed device. Returns whether nothing was done.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, _, o, plane, at, pulsed, _, flip, _, n, _, _, unit, reach, kept = lanes.args
        mask = lanes.mask(pulsed)
        dw, change = _moves(lanes, o, plane, at, 6, flip, 8, n, 10, mask)
        mask = builder.and_(mask, lanes.mask(kept))
        w = lanes.load_masked(0, o, mask)
        size = builder.bitcast(lanes.magnitudes(w), FLOATS)
        far = builder.fadd(builder.fmul(dw, lanes.all(reach), flags=FUSED), size, flags=FUSED)
        limit = builder.fmul(lanes.floats(lanes.load(11, o, BYTES)), lanes.all(unit))
        beyond = builder.and_(mask, builder.fcmp_ordered(">", far, limit))
        any_beyond = builder.icmp_unsigned("!=", builder.bitcast(beyond, I16), I16(0))
        written = builder.select(any_beyond, ir.Constant(BITS, [0] * LANES), mask)
        lanes.store_masked(builder.fadd(w, change), 0, o, written)
        return any_beyond

    kinds = (W, codes, o, plane, at, pulsed, signs, flip, noise, n, ranges, limits)
    return nb.boolean(*kinds, nb.float32, nb.float32, kept), code


@intrinsic
def step_one_bounded16(
    typing_context: Any, W: Any, codes: Any, o: Any, plane: Any, at: Any, pulsed: Any, signs: Any,
    flip: Any, noise: Any, n: Any, ranges: Any, row: Any, bits: Any, reach: Any, kept: Any,
) -> Any:  # fmt: skip
    """`step_one16` for devices that k dw reach keeps within their own bounds; others keep w.

    k: their pulses, the coincidences of row & bits[at:]. codes and ranges: w_max and w_min, too.
    Returns the devices that were left, as 16 bits.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, _, o, plane, at, pulsed, _, flip, _, n, _, row, _, reach, kept = lanes.args
        mask = lanes.mask(pulsed)
        dw, change = _moves(lanes, o, plane, at, 6, flip, 8, n, 10, mask)
        mask = builder.and_(mask, lanes.mask(kept))
        k = lanes.floats(lanes.coincidences(row, 12, at))
        far = builder.fmul(builder.fmul(k, dw), lanes.all(reach))
        w = lanes.load_masked(0, o, mask)
        return lanes.store_free(o, plane, 10, w, change, far, far, mask)

    kinds = (W, codes, o, plane, at, pulsed, signs, flip, noise, n, ranges, row, bits)
    return nb.int64(*kinds, nb.float32, kept), code


@intrinsic
def step_many16(
    typing_context: Any, W: Any, codes: Any, o: Any, plane: Any, at: Any, columns: Any,
    total: Any, t: Any, net: Any, noise: Any, n: Any, ranges: Any, std: Any, reach: Any, kept: Any,
) -> Any:  # fmt: skip
    """`step_one_bounded16` for devices pulsed in both directions.

    With up + down = total[t:] and up - down = net[t:] pulses,
    w += up dw_up - down dw_down + std sqrt(up dw_up² + down dw_down²) noise, where that noise
    within ±reach of its standard deviations keeps all of the way within the bounds. Returns how
    many are pulsed, and from bit 32 on those that were left.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, _, o, plane, at, columns, _, t, _, _, n, _, std, reach, kept = lanes.args
        total, net = lanes.load_shorts(6, t), lanes.load_shorts(8, t)
        mask = builder.icmp_unsigned("!=", total, lanes.shorts(0))
        one = lanes.shorts(1)
        ups = lanes.floats(builder.lshr(builder.add(total, net), one))
        downs = lanes.floats(builder.lshr(builder.sub(total, net), one))
        dw_up = lanes.linear(lanes.load_shorts(1, o), lanes.scalar(11, 0), lanes.scalar(11, 1))
        down_codes = lanes.load_shorts(1, builder.add(o, plane))
        dw_down = lanes.linear(down_codes, lanes.scalar(11, 2), lanes.scalar(11, 3))
        rise, fall = builder.fmul(ups, dw_up), builder.fmul(downs, dw_down)
        variance = builder.fadd(
            builder.fmul(rise, dw_up, flags=FUSED), builder.fmul(fall, dw_down, flags=FUSED),
            flags=FUSED,
        )  # fmt: skip
        root = lanes.declare("llvm.sqrt.v16f32", FLOATS, [FLOATS])
        deviation = builder.fmul(builder.call(root, [variance]), lanes.all(std))
        noise = builder.fmul(deviation, lanes.expanded(9, n, mask))
        change = builder.fadd(builder.fsub(rise, fall), noise)
        far = builder.fmul(deviation, lanes.all(reach))
        w = lanes.load_inside(0, o, at, columns)
        up_reach, down_reach = builder.fadd(rise, far), builder.fadd(fall, far)
        written = builder.and_(mask, lanes.mask(kept))
        left = lanes.store_free(o, plane, 11, w, change, up_reach, down_reach, written)
        return builder.add(lanes.count(mask), builder.shl(left, I64(32)))

    kinds = (W, codes, o, plane, at, columns, total, t, net, noise, n, ranges)
    return nb.int64(*kinds, nb.float32, nb.float32, kept), code


@intrinsic
def fill16(typing_context: Any, values: Any, at: Any, first: Any, step: Any) -> Any:
    """values[at + i] = first + i step, for i = 0 .. 15."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, at, first, step = lanes.args
        first, step = (lanes.all(builder.trunc(scalar, I32)) for scalar in (first, step))
        lanes.store(builder.add(first, builder.mul(step, IOTA)), 0, at)
        return context.get_dummy_value()

    return nb.void(values, at, first, step), code


@intrinsic
def entry(typing_context: Any, values: Any, at: Any) -> Any:
    """values[at] of an int32 array, for at >= 0 (which Numba would look at first)."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        return builder.zext(builder.load(lanes.pointer(0, lanes.args[1], I32), align=4), I64)

    return nb.int64(values, at), code


@intrinsic
def interleave16(typing_context: Any, values: Any, at: Any) -> Any:
    """Transpose 64 floats in place: values[at + 4 j + w] = values[at + 16 w + j], w = 0 .. 3."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        lanes = CountLanes(context, builder, signature, arguments)
        _, at = lanes.args
        rows = [lanes.load(0, builder.add(at, I64(16 * w)), FLOATS) for w in range(4)]

        def zip_pair(a: Any, b: Any, half: int) -> Any:
            order = [16 * (i % 2) + 8 * half + i // 2 for i in range(LANES)]
            return builder.shuffle_vector(a, b, ir.Constant(WORDS, order))

        for half in range(2):
            even = zip_pair(rows[0], rows[2], half)  # z0 z2 of eight counters
            odd = zip_pair(rows[1], rows[3], half)
            for quarter in range(2):
                start = builder.add(at, I64(32 * half + 16 * quarter))
                lanes.store(zip_pair(even, odd, quarter), 0, start)
        return context.get_dummy_value()

    return nb.void(values, at), code
