"""Gradients of elementwise ops, with broadcasting."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    float_of,
    input_of,
    refuse,
    the,
)
from rpucc.passes.graph_reader import constant_of


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
    leak = e.times(the(g), float_of(node, "alpha", 0.01))
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
    """g where min <= x <= max; a bound gets the g of the entries that it cuts."""
    x, dx, zero = input_of(node), the(g), e.like(input_of(node), 0.0)
    gradients: Gradients = [None, None, None]
    for i, inside, outside in ((1, "GreaterOrEqual", "Less"), (2, "LessOrEqual", "Greater")):
        bound = node.inputs[i] if i < len(node.inputs) else None
        if bound is None:
            continue
        if e.wants(node, i):
            cut = e.op("Where", e.op(outside, x, bound), the(g), zero)
            gradients[i] = e.unbroadcast(cut, bound)
        dx = e.op("Where", e.op(inside, x, bound), dx, zero)
    gradients[0] = dx
    return gradients


def drop(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g times the mask of the step; the mask has none."""
    return [e.op("Mul", the(g), node.outputs[1])]


def where(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g to the input that was chosen, 0 to the other."""
    chosen = input_of(node, 0)
    zero = e.like(the(g), 0.0)
    dx = dy = None
    if e.wants(node, 1):
        dx = e.unbroadcast(e.op("Where", chosen, the(g), zero), input_of(node, 1))
    if e.wants(node, 2):
        dy = e.unbroadcast(e.op("Where", chosen, zero, the(g)), input_of(node, 2))
    return [None, dx, dy]


def mean(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each of n terms g/n."""
    return add(e, node, [e.op("Div", the(g), e.like(the(g), len(node.inputs)))])


def cast(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Cast g back; only casts between floating-point types come here."""
    return [e.op("Cast", the(g), to=input_of(node).dtype)]


def reciprocal(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """-g·y²."""
    y = node.outputs[0]
    return [e.op("Neg", e.op("Mul", the(g), e.op("Mul", y, y)))]


def sin(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·cos(x)."""
    return [e.op("Mul", the(g), e.op("Cos", input_of(node)))]


def cos(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """-g·sin(x)."""
    return [e.op("Neg", e.op("Mul", the(g), e.op("Sin", input_of(node))))]


def atan(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g/(1 + x²)."""
    x = input_of(node)
    return [e.op("Div", the(g), e.plus(e.op("Mul", x, x), 1.0))]
