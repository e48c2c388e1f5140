"""Gradients of the pooling ops."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rpucc.passes.emit import infer_outputs, int_of, known_shape
from rpucc.passes.col2im import col2im
from rpucc.passes.gradients.context import GradientEmitter, input_of, refuse, the
from rpucc.passes.window import Window

Gradients = list[ir.Value | None]
Found = Sequence[ir.Value | None]


def max_pool(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Add g to where the maximum was: the forward node gets its Indices output."""
    if int_of(node, "storage_order", 0):
        refuse(node, "storage_order = 1 is not supported")
    x, y = input_of(node), node.outputs[0]
    if len(node.outputs) < 2:
        node.resize_outputs(2)
        node.outputs[1].name = e.unique(f"{y.name}.indices")
        shape = y.shape
        infer_outputs(node, e.model.opset_imports)
        y.shape = node.outputs[1].shape = shape
    flat = e.constant([-1])
    size = e.op("Reshape", e.op("Size", x), e.constant([1]))
    zeros = e.op("Expand", e.like(x, 0.0), size)
    where = e.op("Reshape", node.outputs[1], flat)
    values = e.op("Reshape", the(g), flat)
    summed = e.op("ScatterElements", zeros, where, values, axis=0, reduction="add")
    return [e.reshape_like(summed, x)]


def average_pool(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each tap of a window an equal share of g."""
    if int_of(node, "ceil_mode", 0):
        refuse(node, "ceil_mode = 1 is not supported")
    x = input_of(node)
    window = Window.of(node)
    C = known_shape(x)[1]
    assert isinstance(C, int)
    taps, positions = math.prod(window.kernel), math.prod(window.positions)
    shares = e.reshape(the(g), [-1, C, 1, positions])
    counts = np.full(positions, taps)
    if not int_of(node, "count_include_pad", 0):
        counts = taps_inside(window)
    dtype = x.dtype or ir.DataType.FLOAT
    scaled = e.op("Div", shares, e.constant(counts if counts.min() < taps else taps, dtype))
    spread = e.op("Expand", scaled, e.constant([1, 1, taps, 1]))
    columns = e.reshape(spread, [-1, C * taps, positions])
    columns.shape = ir.Shape([known_shape(x)[0], C * taps, positions])
    return [col2im(e, columns, C, window)]


def taps_inside(window: Window) -> np.ndarray:
    """Return for each window position, flattened [P], how many of its taps hit the input."""
    total = np.ones(1, dtype=np.int64)
    for i, positions in enumerate(window.positions):
        corner = np.arange(positions) * window.strides[i] - window.pads[i]
        tap = np.arange(window.kernel[i]) * window.dilations[i]
        at = corner[:, None] + tap[None, :]
        inside = ((at >= 0) & (at < window.space[i])).sum(axis=1)
        total = (total[:, None] * inside[None, :]).reshape(-1)
    return total


def global_average_pool(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each pixel an equal share of g."""
    x = input_of(node)
    space = [d for d in known_shape(x).dims[2:] if isinstance(d, int)]
    if len(space) < known_shape(x).rank() - 2:
        refuse(node, f"the size of its input {known_shape(x)} is dynamic")
    share = e.op("Div", the(g), e.like(x, math.prod(space)))
    return [e.expand_like(share, x)]
