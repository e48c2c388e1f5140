"""Gradients of the activation functions that CNN exporters write, each from its ONNX definition."""

from __future__ import annotations

import math

import onnx_ir as ir

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    float_of,
    input_of,
    text_of,
    the,
)


def _where_positive(e: GradientEmitter, x: ir.Value, above: ir.Value, below: ir.Value) -> ir.Value:
    """`above` where x > 0, `below` elsewhere."""
    return e.op("Where", e.op("Greater", x, e.like(x, 0.0)), above, below)


def elu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x, or alpha·(eˣ - 1) below 0, where the slope is y + alpha."""
    slope = e.plus(node.outputs[0], float_of(node, "alpha", 1.0))
    return [_where_positive(e, input_of(node), the(g), e.op("Mul", the(g), slope))]


def selu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = gamma·x, or gamma·alpha·(eˣ - 1) below 0, where the slope is y + gamma·alpha."""
    gamma = float_of(node, "gamma", 1.0507009873554805)
    alpha = float_of(node, "alpha", 1.6732632423543772)
    slope = e.plus(node.outputs[0], gamma * alpha)
    below = e.op("Mul", the(g), slope)
    return [_where_positive(e, input_of(node), e.times(the(g), gamma), below)]


def celu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x, or alpha·(e^(x/alpha) - 1) below 0, where the slope is y/alpha + 1."""
    slope = e.plus(e.times(node.outputs[0], 1 / float_of(node, "alpha", 1.0)), 1.0)
    return [_where_positive(e, input_of(node), the(g), e.op("Mul", the(g), slope))]


def thresholded_relu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g where x > alpha."""
    x = input_of(node)
    above = e.op("Greater", x, e.like(x, float_of(node, "alpha", 1.0)))
    return [e.op("Where", above, the(g), e.like(x, 0.0))]


def softplus(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·sigmoid(x)."""
    return [e.op("Mul", the(g), e.op("Sigmoid", input_of(node)))]


def softsign(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g/(1 + |x|)²."""
    size = e.plus(e.op("Abs", input_of(node)), 1.0)
    return [e.op("Div", the(g), e.op("Mul", size, size))]


def hard_sigmoid(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """alpha·g where 0 < y < 1."""
    y = node.outputs[0]
    inside = e.op("And", e.op("Greater", y, e.like(y, 0.0)), e.op("Less", y, e.like(y, 1.0)))
    return [e.op("Where", inside, e.times(the(g), float_of(node, "alpha", 0.2)), e.like(y, 0.0))]


def hard_swish(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x·clip(x/6 + 1/2, 0, 1): slope 0 below -3, 1 above 3, x/3 + 1/2 between."""
    x = input_of(node)
    between = e.op("Mul", the(g), e.plus(e.times(x, 1 / 3), 0.5))
    below = e.op("Where", e.op("Less", x, e.like(x, -3.0)), e.like(x, 0.0), between)
    return [e.op("Where", e.op("Greater", x, e.like(x, 3.0)), the(g), below)]


def mish(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x·t with t = tanh(softplus(x)): slope t + x·(1 - t²)·sigmoid(x)."""
    x = input_of(node)
    t = e.op("Tanh", e.op("Softplus", x))
    inner = e.op("Mul", e.op("Sub", e.like(x, 1.0), e.op("Mul", t, t)), e.op("Sigmoid", x))
    return [e.op("Mul", the(g), e.op("Add", t, e.op("Mul", x, inner)))]


def gelu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x·Phi(x): slope Phi + x·phi; or the tanh approximation of it."""
    x = input_of(node)
    square = e.op("Mul", x, x)
    if text_of(node, "approximate", "none") == "tanh":
        root = math.sqrt(2 / math.pi)
        cubic = e.plus(e.times(square, 0.044715), 1.0)
        t = e.op("Tanh", e.times(e.op("Mul", x, cubic), root))
        share = e.times(e.plus(t, 1.0), 0.5)
        inner = e.times(e.plus(e.times(square, 3 * 0.044715), 1.0), root / 2)
        density = e.op("Mul", e.op("Sub", e.like(x, 1.0), e.op("Mul", t, t)), inner)
    else:
        share = e.times(e.plus(e.op("Erf", e.times(x, math.sqrt(0.5))), 1.0), 0.5)
        density = e.times(e.op("Exp", e.times(square, -0.5)), 1 / math.sqrt(2 * math.pi))
    return [e.op("Mul", the(g), e.op("Add", share, e.op("Mul", x, density)))]


def erf(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = erf(x): slope 2 exp(-x²) / sqrt(pi). PyTorch's older exporter spells Gelu with it."""
    x = input_of(node)
    slope = e.times(e.op("Exp", e.op("Neg", e.op("Mul", x, x))), 2 / math.sqrt(math.pi))
    return [e.op("Mul", the(g), slope)]


def prelu(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x, or slope·x below 0: dx = g or slope·g; dslope = g·x summed where x < 0."""
    x, slope = input_of(node, 0), input_of(node, 1)
    below = e.op("Less", x, e.like(x, 0.0))
    dx = dslope = None
    if e.wants(node, 0):
        dx = e.op("Where", below, e.op("Mul", the(g), slope), the(g))
    if e.wants(node, 1):
        share = e.op("Where", below, e.op("Mul", the(g), x), e.like(x, 0.0))
        dslope = e.unbroadcast(share, slope)
    return [dx, dslope]


def extremum(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Max and Min: g to the input that is y; inputs that are equal share it evenly."""
    y = node.outputs[0]
    one, zero = e.like(y, 1.0), e.like(y, 0.0)
    hits = [
        e.op("Where", e.op("Equal", input_of(node, i), y), one, zero)
        for i in range(len(node.inputs))
    ]
    share = e.op("Div", the(g), e.op("Sum", *hits)) if len(hits) > 1 else the(g)
    return [
        e.unbroadcast(e.op("Mul", share, hit), input_of(node, i)) if e.wants(node, i) else None
        for i, hit in enumerate(hits)
    ]
