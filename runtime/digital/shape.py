"""Operators that move data: views where the data stays, one copy where it moves."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from rpucc.runtime.backend import Native, floats_only
from rpucc.runtime.builder import Builder, Instruction, Shapes
from rpucc.runtime.digital.accepting import always, constants_of
from rpucc.runtime.kernels.activations import NONE, turn_and_activate


def _reshape(builder: Builder, node: ir.Node) -> None:
    x = builder.array(node.inputs[0])
    shape = constants_of(builder, node, 1) or []
    if not node.attributes.get_int("allowzero", 0):
        shape = [x.shape[i] if d == 0 else d for i, d in enumerate(shape)]
    builder.bind(node.outputs[0], x.reshape(shape))


def _constant_shape(shapes: Shapes, node: ir.Node) -> bool:
    return constants_of(shapes, node, 1) is not None


def _flatten(builder: Builder, node: ir.Node) -> None:
    x = builder.array(node.inputs[0])
    axis = node.attributes.get_int("axis", 1)
    shape = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    builder.bind(node.outputs[0], x.reshape(shape))


def _squeeze(builder: Builder, node: ir.Node) -> None:
    x = builder.array(node.inputs[0])
    axes = constants_of(builder, node, 1)
    axis = None if axes is None else tuple(axes)
    builder.bind(node.outputs[0], np.squeeze(x, axis))


def _squeezable(shapes: Shapes, node: ir.Node) -> bool:
    return len(node.inputs) < 2 or node.inputs[1] is None or _constant_shape(shapes, node)


def _unsqueeze(builder: Builder, node: ir.Node) -> None:
    x = builder.array(node.inputs[0])
    axes = constants_of(builder, node, 1) or []
    builder.bind(node.outputs[0], np.expand_dims(x, tuple(axes)))


def _identity(builder: Builder, node: ir.Node) -> None:
    builder.bind(node.outputs[0], builder.array(node.inputs[0]))


def _transpose(builder: Builder, node: ir.Node) -> Instruction:
    x = builder.array(node.inputs[0])
    perm = list(node.attributes.get_ints("perm", tuple(reversed(range(x.ndim)))))
    out = builder.new(node.outputs[0], [x.shape[i] for i in perm])
    if perm == [0, 2, 1]:
        return builder.split(
            len(x), 16 * x.size, lambda a, b: turn_and_activate(x, out, NONE, a, b)
        )
    turned = x.transpose(perm)
    return lambda: np.copyto(out, turned)


def _slice(builder: Builder, node: ir.Node) -> Instruction:
    x = builder.array(node.inputs[0])
    starts, ends = constants_of(builder, node, 1) or [], constants_of(builder, node, 2) or []
    axes = constants_of(builder, node, 3) or list(range(len(starts)))
    steps = constants_of(builder, node, 4) or [1] * len(starts)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    part = x[tuple(index)]
    out = builder.new(node.outputs[0], part.shape)
    return lambda: np.copyto(out, part)


def _plain_slice(shapes: Shapes, node: ir.Node) -> bool:
    constant = all(v is None or shapes.constant(v) is not None for v in node.inputs[1:])
    steps = constants_of(shapes, node, 4) or [1]
    return constant and floats_only_first(shapes, node) and all(step > 0 for step in steps)


def floats_only_first(shapes: Shapes, node: ir.Node) -> bool:
    """The data input is float32."""
    return shapes.array(node.inputs[0]).dtype == np.float32


def _concat(builder: Builder, node: ir.Node) -> Instruction:
    parts = [builder.array(v) for v in node.inputs]
    axis = node.attributes["axis"].as_int()
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    out = builder.new(node.outputs[0], shape)

    def run() -> None:
        np.concatenate(parts, axis=axis, out=out)

    return run


def _expand(builder: Builder, node: ir.Node) -> Instruction:
    x, shape = builder.array(node.inputs[0]), constants_of(builder, node, 1) or []
    out = builder.new(node.outputs[0], np.broadcast_shapes(x.shape, tuple(shape)), x.dtype)
    return lambda: np.copyto(out, x)


def _transposable(shapes: Shapes, node: ir.Node) -> bool:
    x = shapes.array(node.inputs[0])
    perm = node.attributes.get_ints("perm", tuple(range(x.ndim)))
    return x.dtype == np.float32 and x.ndim > 0 and sorted(perm) == list(range(x.ndim))


SHAPE: dict[str, Native] = {
    "Reshape": Native(_reshape, _constant_shape),
    "Flatten": Native(_flatten, always),
    "Squeeze": Native(_squeeze, _squeezable),
    "Unsqueeze": Native(_unsqueeze, _constant_shape),
    "Identity": Native(_identity, always),
    "Transpose": Native(_transpose, _transposable),
    "Slice": Native(_slice, _plain_slice),
    "Concat": Native(_concat, floats_only),
    "Expand": Native(_expand, _constant_shape),
}
