"""Gradients of Softmax and LogSoftmax."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.gradients.context import Found, GradientEmitter, Gradients, the
from rpucc.passes.graph_reader import int_of


def softmax(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y·(g - Σ g·y)."""
    y = node.outputs[0]
    mean = e.reduce_sum(e.op("Mul", the(g), y), [int_of(node, "axis", -1)], keepdims=True)
    return [e.op("Mul", y, e.op("Sub", the(g), mean))]


def log_softmax(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g - exp(y)·Σ g."""
    total = e.reduce_sum(the(g), [int_of(node, "axis", -1)], keepdims=True)
    return [e.op("Sub", the(g), e.op("Mul", e.op("Exp", node.outputs[0]), total))]
