"""Gradients of sums and means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from rpucc.passes.emit import int_of, known_shape
from rpucc.passes.gradients.context import (
    GradientEmitter,
    constant_ints,
    input_of,
    rank_of,
    the,
)

Gradients = list[ir.Value | None]
Found = Sequence[ir.Value | None]


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


def _axes(node: ir.Node) -> list[int]:
    axes = constant_ints(node, 1)
    if axes:
        return axes
    return [] if int_of(node, "noop_with_empty_axes", 0) else list(range(rank_of(input_of(node))))


def _spread(e: GradientEmitter, node: ir.Node, g: ir.Value) -> ir.Value:
    """Broadcast the gradient of a reduced value back over the reduced axes."""
    x, axes = input_of(node), _axes(node)
    if axes and not int_of(node, "keepdims", 1):
        g = e.op("Unsqueeze", g, e.constant(axes))
    if all(known_shape(x)[axis] == 1 for axis in axes):
        return g
    return e.expand_like(g, x)
