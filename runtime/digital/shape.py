"""Operators that move data: views where the data stays, one copy where it moves."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from rpucc.runtime.digital.native import Native, always, constants_of, floats_only
from rpucc.runtime.kernels.activations import NONE, turn_and_activate

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction


def _reshape(executor: Executor, node: ir.Node) -> None:
    x = executor.array(node.inputs[0])
    shape = constants_of(executor, node, 1) or []
    if not node.attributes.get_int("allowzero", 0):
        shape = [x.shape[i] if d == 0 else d for i, d in enumerate(shape)]
    executor.bind(node.outputs[0], x.reshape(shape))


def _constant_shape(executor: Executor, node: ir.Node) -> bool:
    return constants_of(executor, node, 1) is not None


def _flatten(executor: Executor, node: ir.Node) -> None:
    x = executor.array(node.inputs[0])
    axis = node.attributes.get_int("axis", 1)
    shape = math.prod(x.shape[:axis]), math.prod(x.shape[axis:])
    executor.bind(node.outputs[0], x.reshape(shape))


def _squeeze(executor: Executor, node: ir.Node) -> None:
    x = executor.array(node.inputs[0])
    axes = constants_of(executor, node, 1)
    axis = None if axes is None else tuple(axes)
    executor.bind(node.outputs[0], np.squeeze(x, axis))


def _squeezable(executor: Executor, node: ir.Node) -> bool:
    return len(node.inputs) < 2 or node.inputs[1] is None or _constant_shape(executor, node)


def _unsqueeze(executor: Executor, node: ir.Node) -> None:
    x = executor.array(node.inputs[0])
    axes = constants_of(executor, node, 1) or []
    executor.bind(node.outputs[0], np.expand_dims(x, tuple(axes)))


def _identity(executor: Executor, node: ir.Node) -> None:
    executor.bind(node.outputs[0], executor.array(node.inputs[0]))


def _transpose(executor: Executor, node: ir.Node) -> Instruction:
    x = executor.array(node.inputs[0])
    perm = list(node.attributes.get_ints("perm", tuple(reversed(range(x.ndim)))))
    out = executor.new(node.outputs[0], [x.shape[i] for i in perm])
    if perm == [0, 2, 1]:
        return executor.split(
            len(x), 16 * x.size, lambda a, b: turn_and_activate(x, out, NONE, a, b)
        )
    turned = x.transpose(perm)
    return lambda: np.copyto(out, turned)


def _slice(executor: Executor, node: ir.Node) -> Instruction:
    x = executor.array(node.inputs[0])
    starts, ends = constants_of(executor, node, 1) or [], constants_of(executor, node, 2) or []
    axes = constants_of(executor, node, 3) or list(range(len(starts)))
    steps = constants_of(executor, node, 4) or [1] * len(starts)
    index = [slice(None)] * x.ndim
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index[axis] = slice(start, end, step)
    part = x[tuple(index)]
    out = executor.new(node.outputs[0], part.shape)
    return lambda: np.copyto(out, part)


def _plain_slice(executor: Executor, node: ir.Node) -> bool:
    constant = all(v is None or executor.constant(v) is not None for v in node.inputs[1:])
    steps = constants_of(executor, node, 4) or [1]
    return constant and floats_only_first(executor, node) and all(step > 0 for step in steps)


def floats_only_first(executor: Executor, node: ir.Node) -> bool:
    """The data input is float32."""
    return executor.array(node.inputs[0]).dtype == np.float32


def _concat(executor: Executor, node: ir.Node) -> Instruction:
    parts = [executor.array(v) for v in node.inputs]
    axis = node.attributes["axis"].as_int()
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    out = executor.new(node.outputs[0], shape)

    def run() -> None:
        np.concatenate(parts, axis=axis, out=out)

    return run


def _expand(executor: Executor, node: ir.Node) -> Instruction:
    x, shape = executor.array(node.inputs[0]), constants_of(executor, node, 1) or []
    out = executor.new(node.outputs[0], np.broadcast_shapes(x.shape, tuple(shape)), x.dtype)
    return lambda: np.copyto(out, x)


def _transposable(executor: Executor, node: ir.Node) -> bool:
    x = executor.array(node.inputs[0])
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
