"""Losses of targets, a number for each output: mse, mae and huber.

All are means over samples and outputs, pixels among them. Losses of labels are `losses.py`.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.gradients.losses import Loss
from rpucc.passes.graph_reader import CYCLE, known_shape
from rpucc.passes.graph_writer import graph_input


def mse(e: GradientEmitter, output: ir.Value) -> Loss:
    """Mean of (output - target)²; gradient 2 (output - target)/count."""
    targets, error = _error(e, output)
    value = e.op("ReduceMean", e.op("Mul", error, error), out="loss", keepdims=0)
    count = _count(e, output)
    doubled = e.op("Mul", error, e.like(error, 2.0))
    return Loss(value, output, _divided(e, doubled, count, output), targets)


def mae(e: GradientEmitter, output: ir.Value) -> Loss:
    """Mean of |output - target|; gradient sign(output - target)/count."""
    targets, error = _error(e, output)
    value = e.op("ReduceMean", e.op("Abs", error), out="loss", keepdims=0)
    count = _count(e, output)
    return Loss(value, output, _divided(e, e.op("Sign", error), count, output), targets)


def huber(e: GradientEmitter, output: ir.Value, delta: float) -> Loss:
    """Mean of e²/2 up to |e| = delta and of delta (|e| - delta/2) beyond, e = output - target.

    Gradient: e clipped to ±delta, over the count. With delta = 1 it is the smooth L1 loss. With c
    the clipped e, both parts are c (e - c/2).
    """
    targets, error = _error(e, output)
    clipped = e.op("Clip", error, e.like(error, -delta), e.like(error, delta))
    half = e.op("Mul", clipped, e.like(error, 0.5))
    each = e.op("Mul", clipped, e.op("Sub", error, half))
    value = e.op("ReduceMean", each, out="loss", keepdims=0)
    count = _count(e, output)
    return Loss(value, output, _divided(e, clipped, count, output), targets)


def _error(e: GradientEmitter, output: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Add the targets; returns them and output - targets."""
    targets = graph_input(e, "targets", output.dtype or ir.DataType.FLOAT, known_shape(output))
    e.metadata, e.scope = {}, "loss"
    return targets, e.op("Sub", output, targets)


def _count(e: GradientEmitter, output: ir.Value) -> ir.Value:
    """Begin the gradient: the number of outputs of the batch."""
    e.metadata, e.scope = {CYCLE: "backward"}, "loss.grad"
    return e.op("CastLike", e.op("Size", output), output)


def _divided(e: GradientEmitter, total: ir.Value, count: ir.Value, output: ir.Value) -> ir.Value:
    return e.op("Div", total, count, shape=known_shape(output))
