"""Gradients of sums, means, norms and extremes over axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    constant_ints,
    input_of,
    rank_of,
    refuse,
    the,
)
from rpucc.passes.graph_reader import int_of, known_shape


def reduce_sum(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give every term g."""
    return [_spread(e, node, the(g))]


def reduce_mean(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give every term g divided by the number of terms."""
    x = input_of(node)
    sizes = [known_shape(x)[axis] for axis in _axes(node)]
    static = [size for size in sizes if isinstance(size, int)]
    if len(static) == len(sizes):
        count = e.like(x, math.prod(static))
    else:  # the batch is among the axes: count at run time
        ratio = e.op("Div", e.op("Size", x), e.op("Size", node.outputs[0]))
        count = e.op("CastLike", ratio, x)
    return [_spread(e, node, e.op("Div", the(g), count))]


def reduce_extremum(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """ReduceMax and ReduceMin: g to the entry that is y; entries that are equal share it."""
    return [share_evenly(e, node, the(g), _all_axes(node))]


def share_evenly(e: GradientEmitter, node: ir.Node, g: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Give g to the entries of the node's input that equal its output, in equal parts."""
    x = input_of(node)
    hits = e.op("Equal", x, _kept(e, node, node.outputs[0], axes))
    hit = e.op("Where", hits, e.like(x, 1.0), e.like(x, 0.0))
    count = e.reduce_sum(hit, axes, keepdims=True)
    return e.op("Mul", hit, e.op("Div", _kept(e, node, g, axes), count))


def reduce_l1(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each term g·sign(x)."""
    return [e.op("Mul", e.op("Sign", input_of(node)), _kept(e, node, the(g), _all_axes(node)))]


def reduce_l2(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each term g·x/y, and 0 where all of them are 0."""
    y = node.outputs[0]
    divisor = e.op("Where", e.op("Equal", y, e.like(y, 0.0)), e.like(y, 1.0), y)
    share = _kept(e, node, e.op("Div", the(g), divisor), _all_axes(node))
    return [e.op("Mul", input_of(node), share)]


def reduce_sum_square(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each term 2·g·x."""
    share = _kept(e, node, e.times(the(g), 2.0), _all_axes(node))
    return [e.op("Mul", input_of(node), share)]


def reduce_log_sum(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each term g/Σx, which is g·exp(-y)."""
    share = e.op("Mul", the(g), e.op("Exp", e.op("Neg", node.outputs[0])))
    return [_spread(e, node, share)]


def reduce_log_sum_exp(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each term its softmax share, g·exp(x - y)."""
    axes = _all_axes(node)
    share = e.op("Exp", e.op("Sub", input_of(node), _kept(e, node, node.outputs[0], axes)))
    return [e.op("Mul", share, _kept(e, node, the(g), axes))]


def _all_axes(node: ir.Node) -> list[int]:
    """Return the reduced axes of an op that reduces at least one."""
    axes = _axes(node)
    if not axes:
        refuse(node, "it reduces nothing (noop_with_empty_axes); leave it out")
    return axes


def _kept(e: GradientEmitter, node: ir.Node, value: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Give a reduced value its reduced axes back, as 1."""
    return (
        value if int_of(node, "keepdims", 1) else e.op("Unsqueeze", value, e.constant(list(axes)))
    )


def _axes(node: ir.Node) -> list[int]:
    axes = constant_ints(node, 1)
    if axes:
        return axes
    return [] if int_of(node, "noop_with_empty_axes", 0) else list(range(rank_of(input_of(node))))


def _spread(e: GradientEmitter, node: ir.Node, g: ir.Value) -> ir.Value:
    """Broadcast the gradient of a reduced value back over the reduced axes."""
    x, axes = input_of(node), _axes(node)
    g = _kept(e, node, g, axes) if axes else g
    if all(known_shape(x)[axis] == 1 for axis in axes):
        return g
    return e.expand_like(g, x)
