"""Keras's layers without weights as ONNX operators: pools, shapes, sums, scales."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from rpucc.frameworks.keras_call import Call, Lowering, numbers, output, windows
from rpucc.frameworks.keras_graph import Value, onnx_shape


def pool(kind: str) -> Lowering:
    """Return the lowering of a pool."""

    def lower(call: Call, value: Value) -> Value:
        layer, x = call.layer, call.channels(value)
        ones = [1] * len(layer.pool_size)
        how = windows(call, x, layer.pool_size, layer.strides, ones)
        del how["dilations"]
        name = call.op(kind, x.name, **how)
        return output(call, x, name, value)

    return lower


def global_pool(kind: str) -> Lowering:
    """Return the lowering of a pool over all positions."""

    def lower(call: Call, value: Value) -> Value:
        x = call.channels(value)
        if call.layer.keepdims:
            return output(call, x, call.op(kind, x.name), value)
        whole = call.op(kind, x.name, name=f"{call.name}/pool")
        name = call.op("Flatten", whole, axis=1)
        return Value(name, (onnx_shape(x)[0],))

    return lower


def flatten(call: Call, value: Value) -> Value:
    """Flatten in Keras's order, which the weights behind it are in."""
    shape = call.layer.compute_output_shape((None, *value.shape))
    if value.rank == 2:
        return value
    x = call.graph.as_last(value)
    return Value(call.op("Flatten", x.name, axis=1), shape[1:])


def reshape(call: Call, value: Value) -> Value:
    """Reshape in Keras's order."""
    x = call.graph.as_last(value)
    shape = call.layer.compute_output_shape((None, *value.shape))[1:]
    target = call.constant("shape", [0, *(-1 if size is None else size for size in shape)])
    return Value(call.op("Reshape", x.name, target), shape)


def permute(call: Call, value: Value) -> Value:
    """Another order of the axes, of which Keras counts the first behind the batch as 1."""
    x, axes = call.graph.as_last(value), [int(axis) for axis in call.layer.dims]
    shape = tuple(value.shape[axis - 1] for axis in axes)
    return Value(call.op("Transpose", x.name, perm=[0, *axes]), shape)


def zero_padding(call: Call, value: Value) -> Value:
    """Zeros around the positions."""
    x, sides = call.channels(value), call.layer.padding
    pairs = [sides] if isinstance(sides[0], int) else sides
    begins, ends = zip(*pairs, strict=True)
    pads = call.constant("pads", [0, 0, *begins, 0, 0, *ends])
    return output(call, x, call.op("Pad", x.name, pads), value)


def upsampling(call: Call, value: Value) -> Value:
    """Resize: each position several times, or linear between them."""
    layer, x = call.layer, call.channels(value)
    size = layer.size if isinstance(layer.size, list | tuple) else [layer.size]
    how = getattr(layer, "interpolation", "nearest")
    if how not in ("nearest", "bilinear"):
        raise call.refuse(f"interpolation={how!r}: only nearest and bilinear are taken")
    scales = call.constant("scales", [1, 1, *size], np.float32)
    mode: dict[str, Any] = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    if how == "nearest":
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric"}
        mode["nearest_mode"] = "floor"
    return output(call, x, call.op("Resize", x.name, "", scales, **mode), value)


def merge(kind: str) -> Lowering:
    """Return the lowering of a sum, product or the like of several values."""

    def lower(call: Call, *values: Value) -> Value:
        shapes = {len(value.shape) for value in values}
        if len(shapes) > 1:
            raise call.refuse("values with different numbers of axes are not taken")
        turned = call.graph.as_first if any(v.first for v in values) else call.graph.as_last
        same = [turned(value) for value in values]
        total = same[0]
        for i, each in enumerate(same[1:], 2):
            name = call.name if i == len(same) else f"{call.name}/{i - 1}"
            pairs = zip(total.shape, each.shape, strict=True)
            shape = tuple(b if a == 1 else a for a, b in pairs)
            total = replace(
                total, name=call.op(kind, total.name, each.name, name=name), shape=shape
            )
        return total

    return lower


def concatenate(call: Call, *values: Value) -> Value:
    """Several values one behind the other."""
    turned = call.graph.as_first if any(v.first for v in values) else call.graph.as_last
    same = [turned(value) for value in values]
    axis = call.layer.axis % same[0].rank
    where = axis
    if same[0].first:
        where = 1 if axis == same[0].rank - 1 else axis + 1
    shape = list(values[0].shape)
    sizes = [value.shape[axis - 1] for value in values]
    shape[axis - 1] = None if None in sizes else sum(size for size in sizes if size is not None)
    name = call.op("Concat", *(each.name for each in same), axis=where)
    return replace(same[0], name=name, shape=tuple(shape))


def rescaling(call: Call, value: Value) -> Value:
    """Rescaling: scale · x + offset, numbers or one a channel."""
    return _affine(call, value, call.layer.scale, call.layer.offset)


def normalization(call: Call, value: Value) -> Value:
    """Normalization: (x - mean) / deviation, one a channel."""
    layer = call.layer
    if layer.invert or getattr(layer, "_keep_axis", ()) not in ((value.rank - 1,), ()):
        raise call.refuse("only statistics of the last axis are taken, and no inversion")
    mean, variance = (numbers(each) for each in (layer.mean, layer.variance))
    deviation = np.maximum(np.sqrt(variance), 1e-7)
    return _affine(call, value, 1 / deviation, -mean / deviation)


def _affine(call: Call, value: Value, scale: Any, offset: Any) -> Value:
    name = value.name
    for kind, given in (("Mul", scale), ("Add", offset)):
        array = numbers(given)
        if array.size == 1:
            array = array.reshape(())
        elif value.first:
            array = array.reshape(-1, *[1] * (value.rank - 2))
        else:
            array = array.reshape(-1)
        constant = call.constant(kind.lower(), array, np.float32)
        name = call.op(kind, name, constant, name=f"{call.name}/{kind.lower()}")
    return replace(value, name=name)


def dropout(call: Call, value: Value) -> Value:
    """A Dropout, which a program that trains draws; of whole channels ONNX has none."""
    if call.layer.noise_shape is not None:
        return left_out(call, value)
    if not call.layer.rate:
        return value
    ratio = call.constant("ratio", call.layer.rate, np.float32)
    return replace(value, name=call.op("Dropout", value.name, ratio))


def left_out(call: Call, value: Value) -> Value:
    """What draws in training in a way that ONNX has no operator for: nothing, which is said."""
    if getattr(call.layer, "rate", 1) and getattr(call.layer, "stddev", 1):
        call.graph.left_out.append(f"{call.name} ({type(call.layer).__name__})")
    return value


def nothing(call: Call, value: Value) -> Value:
    """What does nothing in inference."""
    return value
