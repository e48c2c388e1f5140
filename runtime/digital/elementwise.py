"""Elementwise operators as NumPy ufuncs that write into planned buffers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.runtime.backend import Native
from rpucc.runtime.builder import Builder, Instruction, Shapes

Array = NDArray[Any]


def _ufunc(function: np.ufunc) -> Native:
    def build(builder: Builder, node: ir.Node) -> Instruction:
        inputs = [builder.array(v) for v in node.inputs]
        out = builder.new(node.outputs[0], np.broadcast_shapes(*(a.shape for a in inputs)))
        if len(inputs) == 1:
            only = inputs[0]
            return lambda: function(only, out=out)
        left, right = inputs
        return lambda: function(left, right, out=out)

    return Native(build)


def _unary(compute: Callable[[Array, Array], None]) -> Native:
    """From a function that writes f(x) into out."""

    def build(builder: Builder, node: ir.Node) -> Instruction:
        x = builder.array(node.inputs[0])
        out = builder.new(node.outputs[0], x.shape)
        return lambda: compute(x, out)

    return Native(build)


def _relu(x: Array, out: Array) -> None:
    np.maximum(x, np.float32(0), out=out)


def _sigmoid(x: Array, out: Array) -> None:
    """1 / (1 + exp(-x)) as (1 + tanh(x / 2)) / 2, which cannot overflow."""
    np.multiply(x, np.float32(0.5), out=out)
    np.tanh(out, out=out)
    np.add(out, np.float32(1), out=out)
    np.multiply(out, np.float32(0.5), out=out)


def _sum(builder: Builder, node: ir.Node) -> Instruction:
    terms = [builder.array(v) for v in node.inputs]
    out = builder.new(node.outputs[0], np.broadcast_shapes(*(a.shape for a in terms)))

    def run() -> None:
        np.copyto(out, terms[0])
        for term in terms[1:]:
            np.add(out, term, out=out)

    return run


def _where(builder: Builder, node: ir.Node) -> Instruction:
    condition, yes, no = (builder.array(v) for v in node.inputs)
    shape = np.broadcast_shapes(condition.shape, yes.shape, no.shape)
    out = builder.new(node.outputs[0], shape)

    def run() -> None:
        np.copyto(out, no)
        np.copyto(out, yes, where=condition)

    return run


def _where_floats(shapes: Shapes, node: ir.Node) -> bool:
    return all(shapes.array(v).dtype == np.float32 for v in node.inputs[1:])


def _compare(function: np.ufunc) -> Native:
    def build(builder: Builder, node: ir.Node) -> Instruction:
        a, b = (builder.array(v) for v in node.inputs)
        out = builder.new(node.outputs[0], np.broadcast_shapes(a.shape, b.shape), np.bool_)
        return lambda: function(a, b, out=out)

    return Native(build)


ELEMENTWISE: dict[str, Native] = {
    "Add": _ufunc(np.add),
    "Sub": _ufunc(np.subtract),
    "Mul": _ufunc(np.multiply),
    "Div": _ufunc(np.divide),
    "Neg": _ufunc(np.negative),
    "Abs": _ufunc(np.absolute),
    "Exp": _ufunc(np.exp),
    "Sqrt": _ufunc(np.sqrt),
    "Tanh": _ufunc(np.tanh),
    "Relu": _unary(_relu),
    "Sigmoid": _unary(_sigmoid),
    "Sum": Native(_sum),
    "Where": Native(_where, _where_floats),
    "Greater": _compare(np.greater),
    "GreaterOrEqual": _compare(np.greater_equal),
    "Less": _compare(np.less),
}
