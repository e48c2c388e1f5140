"""Gradients of elementwise ops, with broadcasting, and of the matrix product."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rpucc.passes.emit import constant_of, int_of, known_shape
from rpucc.passes.gradients.context import GradientEmitter, input_of, rank_of, refuse, the

Gradients = list[ir.Value | None]
Found = Sequence[ir.Value | None]


def add(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Every term gets g (Add and Sum)."""
    return [
        e.unbroadcast(the(g), input_of(node, i)) if e.wants(node, i) else None
        for i in range(len(node.inputs))
    ]


def sub(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give a the g, b the -g."""
    a, b = input_of(node, 0), input_of(node, 1)
    return [
        e.unbroadcast(the(g), a) if e.wants(node, 0) else None,
        e.op("Neg", e.unbroadcast(the(g), b)) if e.wants(node, 1) else None,
    ]


def mul(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each factor g times the other."""
    a, b = input_of(node, 0), input_of(node, 1)
    return [
        e.unbroadcast(e.op("Mul", the(g), b), a) if e.wants(node, 0) else None,
        e.unbroadcast(e.op("Mul", the(g), a), b) if e.wants(node, 1) else None,
    ]


def div(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """For y = a/b: da = g/b, db = -(g/b)·y."""
    a, b = input_of(node, 0), input_of(node, 1)
    share = e.op("Div", the(g), b)
    db = None
    if e.wants(node, 1):
        db = e.op("Neg", e.unbroadcast(e.op("Mul", share, node.outputs[0]), b))
    return [e.unbroadcast(share, a) if e.wants(node, 0) else None, db]


def neg(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """-g."""
    return [e.op("Neg", the(g))]


def identity(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Pass g on."""
    return [the(g)]


def relu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g where y > 0."""
    y = node.outputs[0]
    return [e.op("Where", e.op("Greater", y, e.like(y, 0.0)), the(g), e.like(y, 0.0))]


def leaky_relu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g where x >= 0, alpha·g elsewhere."""
    x = input_of(node)
    alpha = node.attributes["alpha"].as_float() if "alpha" in node.attributes else 0.01
    leak = e.op("Mul", the(g), e.like(x, alpha))
    return [e.op("Where", e.op("GreaterOrEqual", x, e.like(x, 0.0)), the(g), leak)]


def tanh(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·(1 - y²)."""
    y = node.outputs[0]
    slope = e.op("Sub", e.like(y, 1.0), e.op("Mul", y, y))
    return [e.op("Mul", the(g), slope)]


def sigmoid(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·y·(1 - y)."""
    y = node.outputs[0]
    slope = e.op("Mul", y, e.op("Sub", e.like(y, 1.0), y))
    return [e.op("Mul", the(g), slope)]


def exp(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·y."""
    return [e.op("Mul", the(g), node.outputs[0])]


def log(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g/x."""
    return [e.op("Div", the(g), input_of(node))]


def sqrt(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g/(2y)."""
    y = node.outputs[0]
    return [e.op("Div", the(g), e.op("Mul", y, e.like(y, 2.0)))]


def abs_(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·sign(x)."""
    return [e.op("Mul", the(g), e.op("Sign", input_of(node)))]


def power(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·p·x^(p-1), for a constant exponent p."""
    x, p = input_of(node, 0), constant_of(input_of(node, 1))
    if p is None or e.wants(node, 1):
        refuse(node, "its exponent is computed, not constant")
    dtype = x.dtype or ir.DataType.FLOAT
    slope = e.op("Mul", e.op("Pow", x, e.constant(p - 1.0, dtype)), e.constant(p, dtype))
    return [e.unbroadcast(e.op("Mul", the(g), slope), x)]


def clip(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g where min <= x <= max."""
    x, dx = input_of(node), the(g)
    for i, op_type in ((1, "GreaterOrEqual"), (2, "LessOrEqual")):
        if i < len(node.inputs) and node.inputs[i] is not None:
            dx = e.op("Where", e.op(op_type, x, node.inputs[i]), dx, e.like(x, 0.0))
    return [dx]


def batch_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """dx = g·scale/√(var + ε), dscale = Σ g·(x - mean)/√(var + ε), dbias = Σ g.

    In inference mode: mean and variance are constants. The sums are over all axes but 1.
    """
    x, scale = input_of(node), input_of(node, 1)
    mean, var = constant_of(input_of(node, 3)), constant_of(input_of(node, 4))
    if mean is None or var is None or int_of(node, "training_mode", 0):
        refuse(node, "only a batch norm with constant mean and variance has one")
    dtype = x.dtype or ir.DataType.FLOAT
    inverse = 1.0 / np.sqrt(var + node.attributes.get_float("epsilon", 1e-5))
    channels = (-1, *[1] * (rank_of(x) - 2))
    others = [0, *range(2, rank_of(x))]
    dx = dscale = dbias = None
    if e.wants(node, 0):
        slope = e.op("Mul", scale, e.constant(inverse, dtype))
        dx = e.op("Mul", the(g), e.reshape(slope, channels))
    if e.wants(node, 1):
        deviation = e.op("Sub", x, e.constant(mean.reshape(channels), dtype))
        total = e.reduce_sum(e.op("Mul", the(g), deviation), others)
        dscale = e.op("Mul", total, e.constant(inverse, dtype))
    if e.wants(node, 2):
        dbias = e.reduce_sum(the(g), others)
    return [dx, dscale, dbias]


def matmul(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """dA = g·Bᵀ, dB = Aᵀ·g, summed over broadcast dimensions."""
    A, B = input_of(node, 0), input_of(node, 1)
    if rank_of(A) < 2 or rank_of(B) < 2:
        refuse(node, "an operand is a vector; make it a matrix")
    dA = dB = None
    if e.wants(node, 0):
        dA = e.unbroadcast(e.op("MatMul", the(g), _swap(e, B)), A)
    if e.wants(node, 1):
        left, right = A, the(g)
        if rank_of(B) == 2 and rank_of(A) > 2:
            left, right = _flat(e, left), _flat(e, right)
        dB = e.unbroadcast(e.op("MatMul", _swap(e, left), right), B)
    return [dA, dB]


def _swap(e: GradientEmitter, x: ir.Value) -> ir.Value:
    """Transpose the last two dimensions."""
    axes = list(range(rank_of(x)))
    return e.transpose(x, [*axes[:-2], axes[-1], axes[-2]])


def _flat(e: GradientEmitter, x: ir.Value) -> ir.Value:
    """Merge all dimensions but the last."""
    last = known_shape(x)[-1]
    assert isinstance(last, int)
    return e.reshape(x, [-1, last])
