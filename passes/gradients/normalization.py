"""Gradients of the normalisations.

Those over the sample's own numbers are y = h·scale + bias with h = (x - mean)/deviation; with
q = g·scale, dx = (q - mean(q) - h·mean(q·h))/deviation (Ioffe & Szegedy, arXiv 1502.03167,
section 3), all means over the axes that share their statistics. They are computed anew here: the
ops do not hand them out.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.opset import DOMAIN
from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    float_of,
    input_of,
    rank_of,
    refuse,
    the,
)
from rpucc.passes.graph_reader import constant_of, int_of, known_shape


def batch_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """g·scale/√(var + epsilon) in inference mode; its mean and variance are frozen.

    What follows from them is worked out by the graph: they may be measured again.
    """
    x, scale = input_of(node), input_of(node, 1)
    mean, var = constant_of(input_of(node, 3)), constant_of(input_of(node, 4))
    if mean is None or var is None or int_of(node, "training_mode", 0):
        refuse(node, "only a batch norm with constant mean and variance has one")
    column = _column(rank_of(x))
    dx = dscale = dbias = None
    if e.wants(node, 0) or e.wants(node, 1):
        deviation = e.op("Sqrt", e.plus(input_of(node, 4), float_of(node, "epsilon", 1e-5)))
    if e.wants(node, 0):
        slope = e.reshape(e.op("Div", scale, deviation), column)
        dx = e.op("Mul", the(g), slope)
    if e.wants(node, 1):
        centred = e.op("Sub", x, e.reshape(input_of(node, 3), column))
        hat = e.op("Div", centred, e.reshape(deviation, column))
        dscale = _channel_sum(e, e.op("Mul", the(g), hat))
    if e.wants(node, 2):
        dbias = _channel_sum(e, the(g))
    return [dx, dscale, dbias]


def batch_norm(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """The rpu op's own gradient, one node: through the statistics of the batch where it trains."""
    if any(gradient is not None for gradient in g[1:]):
        refuse(node, "its statistics are used as an output")
    x, scale, training = input_of(node), input_of(node, 1), input_of(node, 5)
    centre, deviation = node.outputs[3:5]
    found = e.ops(
        "BatchNormGradient",
        the(g),
        x,
        scale,
        centre,
        deviation,
        training,
        outputs=["", f"{scale.name}.grad", f"{input_of(node, 2).name}.grad"],
        domain=DOMAIN,
    )
    return list(found)


def instance_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Each channel of each sample has its own statistics."""
    x, scale = input_of(node), input_of(node, 1)
    rank = rank_of(x)
    axes = list(range(2, rank))
    hat, deviation = _normalised(e, x, axes, float_of(node, "epsilon", 1e-5))
    dx = None
    if e.wants(node, 0):
        scaled = e.op("Mul", the(g), e.reshape(scale, _column(rank)))
        dx = _through_statistics(e, scaled, hat, deviation, axes)
    return [dx, *_channel_parameters(e, node, the(g), hat)]


def group_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Each group of channels of each sample has its own statistics; scale [C] (opset 21)."""
    x, scale = input_of(node), input_of(node, 1)
    groups = [0, int_of(node, "num_groups", 1), -1]
    hat, deviation = _normalised(e, e.reshape(x, groups), [2], float_of(node, "epsilon", 1e-5))
    dx = None
    if e.wants(node, 0):
        scaled = e.op("Mul", the(g), e.reshape(scale, _column(rank_of(x))))
        inner = _through_statistics(e, e.reshape(scaled, groups), hat, deviation, [2])
        dx = e.reshape_like(inner, x)
    return [dx, *_channel_parameters(e, node, the(g), e.reshape_like(hat, x))]


def layer_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """The axes from `axis` on share their statistics; scale and bias broadcast to them."""
    x, scale = input_of(node), input_of(node, 1)
    if any(gradient is not None for gradient in g[1:]):
        refuse(node, "its mean or deviation is used as an output")
    axes = list(range(int_of(node, "axis", -1) % rank_of(x), rank_of(x)))
    hat, deviation = _normalised(e, x, axes, float_of(node, "epsilon", 1e-5))
    dx = dscale = dbias = None
    if e.wants(node, 0):
        dx = _through_statistics(e, e.op("Mul", the(g), scale), hat, deviation, axes)
    if e.wants(node, 1):
        dscale = e.unbroadcast(e.op("Mul", the(g), hat), scale)
    if e.wants(node, 2):
        dbias = e.unbroadcast(the(g), input_of(node, 2))
    return [dx, dscale, dbias]


def lp_normalization(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x/|x| along an axis, |x| the Euclidean length: dx = (g - y·Σ g·y)/|x|."""
    x, y = input_of(node), node.outputs[0]
    if int_of(node, "p", 2) != 2:
        refuse(node, "only p = 2 has one")
    axes = e.constant([int_of(node, "axis", -1)])
    length = e.op("ReduceL2", x, axes, keepdims=1)
    along = e.op("ReduceSum", e.op("Mul", the(g), y), axes, keepdims=1)
    return [e.op("Div", e.op("Sub", the(g), e.op("Mul", y, along)), length)]


def lrn(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = x·D^-beta with D = bias + alpha·M(x²), M the mean over a window of channels.

    dx = g·D^-beta - 2·alpha·beta·x·Mᵀ(g·y/D). Source: the ONNX definition of LRN, differentiated.
    """
    x, y = input_of(node), node.outputs[0]
    size = node.attributes["size"].as_int()
    before, after = (size - 1) // 2, size // 2
    alpha, beta = float_of(node, "alpha", 1e-4), float_of(node, "beta", 0.75)
    squares = _channel_window_mean(e, e.op("Mul", x, x), before, after)
    D = e.plus(e.times(squares, alpha), float_of(node, "bias", 1.0))
    direct = e.op("Mul", the(g), e.op("Pow", D, e.like(D, -beta)))
    share = e.op("Div", e.op("Mul", the(g), y), D)
    spread = _channel_window_mean(e, share, after, before)  # the window seen from the other side
    indirect = e.times(e.op("Mul", x, spread), 2 * alpha * beta)
    return [e.op("Sub", direct, indirect)]


def _normalised(
    e: GradientEmitter, x: ir.Value, axes: Sequence[int], epsilon: float
) -> tuple[ir.Value, ir.Value]:
    """Return h and the deviation √(variance + epsilon), which keeps `axes` as 1."""
    over = e.constant(list(axes))
    centred = e.op("Sub", x, e.op("ReduceMean", x, over, keepdims=1))
    variance = e.op("ReduceMean", e.op("Mul", centred, centred), over, keepdims=1)
    deviation = e.op("Sqrt", e.plus(variance, epsilon))
    return e.op("Div", centred, deviation), deviation


def _through_statistics(
    e: GradientEmitter, g: ir.Value, hat: ir.Value, deviation: ir.Value, axes: Sequence[int]
) -> ir.Value:
    """(g - mean(g) - h·mean(g·h))/deviation."""
    over = e.constant(list(axes))
    mean = e.op("ReduceMean", g, over, keepdims=1)
    along = e.op("ReduceMean", e.op("Mul", g, hat), over, keepdims=1)
    rest = e.op("Sub", e.op("Sub", g, mean), e.op("Mul", hat, along))
    return e.op("Div", rest, deviation)


def _channel_parameters(
    e: GradientEmitter, node: ir.Node, g: ir.Value, hat: ir.Value
) -> tuple[ir.Value | None, ir.Value | None]:
    """Return the gradients of scale [C] and bias [C] where they are wanted."""
    dscale = _channel_sum(e, e.op("Mul", g, hat)) if e.wants(node, 1) else None
    return dscale, _channel_sum(e, g) if e.wants(node, 2) else None


def _channel_sum(e: GradientEmitter, x: ir.Value) -> ir.Value:
    """Sum [N, C, ...] to [C]."""
    return e.reduce_sum(x, [0, *range(2, rank_of(x))])


def _column(rank: int) -> list[int]:
    """The shape in which [C] broadcasts to [N, C, ...] of `rank` dimensions."""
    return [-1] + [1] * (rank - 2)


def _channel_window_mean(e: GradientEmitter, x: ir.Value, before: int, after: int) -> ir.Value:
    """Mean over the channels c - before to c + after, those outside being 0: a pool along C."""
    C = known_shape(x)[1]
    assert isinstance(C, int)
    plane = e.reshape(x, [0, 1, C, -1])
    pooled = e.op(
        "AveragePool",
        plane,
        kernel_shape=[before + after + 1, 1],
        pads=[before, 0, after, 0],
        count_include_pad=1,
    )
    return e.reshape_like(pooled, x)
