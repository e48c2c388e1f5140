"""Gradients of the pooling ops."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from rpucc.passes.col2im import col2im
from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    input_of,
    rank_of,
    refuse,
    the,
)
from rpucc.passes.gradients.reduce import share_evenly
from rpucc.passes.graph_reader import int_of, known_shape
from rpucc.passes.graph_writer import infer_outputs
from rpucc.passes.window import Window


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
    x = input_of(node)
    given = Window.of(node)
    window = _reaching(given, node) if int_of(node, "ceil_mode", 0) else given
    C = known_shape(x)[1]
    assert isinstance(C, int)
    taps, positions = math.prod(window.kernel), math.prod(window.positions)
    shares = e.reshape(the(g), [-1, C, 1, positions])
    include = int_of(node, "count_include_pad", 0)
    counts = taps_inside(window, given.pads if include else (0,) * len(given.pads))
    dtype = x.dtype or ir.DataType.FLOAT
    scaled = e.op("Div", shares, e.constant(counts if counts.min() < taps else taps, dtype))
    spread = e.op("Expand", scaled, e.constant([1, 1, taps, 1]))
    columns = e.reshape(spread, [-1, C * taps, positions])
    columns.shape = ir.Shape([known_shape(x)[0], C * taps, positions])
    return [col2im(e, columns, C, window)]


def _reaching(window: Window, node: ir.Node) -> Window:
    """Pad a window's end so far that its last, partial position (ceil_mode) is a whole one."""
    rank, pads = window.rank, list(window.pads)
    for i, positions in enumerate(known_shape(node.outputs[0]).dims[2:]):
        assert isinstance(positions, int)
        reach = window.dilations[i] * (window.kernel[i] - 1) + 1
        needed = (positions - 1) * window.strides[i] + reach - window.space[i] - pads[i]
        pads[rank + i] = max(pads[rank + i], needed)
    return replace(window, pads=tuple(pads))


def taps_inside(window: Window, margin: tuple[int, ...]) -> np.ndarray:
    """Return for each window position, flattened [P], how many of its taps hit the input.

    margin: how far around the input a tap counts too, begins then ends.
    """
    total = np.ones(1, dtype=np.int64)
    for i, positions in enumerate(window.positions):
        corner = np.arange(positions) * window.strides[i] - window.pads[i]
        tap = np.arange(window.kernel[i]) * window.dilations[i]
        at = corner[:, None] + tap[None, :]
        first, end = -margin[i], window.space[i] + margin[window.rank + i]
        inside = ((at >= first) & (at < end)).sum(axis=1)
        total = (total[:, None] * inside[None, :]).reshape(-1)
    return total


def global_max_pool(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give g to the pixel that is y; pixels that are equal share it."""
    return [share_evenly(e, node, the(g), list(range(2, rank_of(input_of(node)))))]


def global_average_pool(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give each pixel an equal share of g."""
    x = input_of(node)
    space = [d for d in known_shape(x).dims[2:] if isinstance(d, int)]
    if len(space) < known_shape(x).rank() - 2:
        refuse(node, f"the size of its input {known_shape(x)} is dynamic")
    share = e.op("Div", the(g), e.like(x, math.prod(space)))
    return [e.expand_like(share, x)]
