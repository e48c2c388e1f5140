"""Gradients of the rpu ops and of Col2Im, Im2Col's adjoint: the backward cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rpucc.layers import DEVICES, weight_scale
from rpucc.passes.col2im import col2im
from rpucc.passes.emit import LAYER, int_of, known_shape, static_dims
from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    ReadUpdate,
    constant_ints,
    input_of,
    refuse,
    the,
)
from rpucc.passes.window import Window, ints


def read(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = W x on an array: dx is one transposed read of d; the update is left to differentiate.

    A layer that has the matrix transposed computes y = Wᵀ x: then dx = W d, and in the update x and
    d change places.
    """
    x, W = input_of(node, 0), input_of(node, 1)
    turned = int_of(node, "transpose", 0)
    part = the(g)
    if known_shape(part)[-2] != 1:
        refuse(node, "its columns are cut into segments already (differentiate comes before tile)")
    d = _without_segments(e, part)
    if e.wants(node, 1):
        columns, rows = (d, x) if turned else (x, d)
        e.updates.append(ReadUpdate(W, columns, _of_the_weight(e, node, rows), node))
    if not e.wants(node, 0):
        return [None, None]
    back = e.rpu(
        "Read",
        d,
        W,
        transpose=1 - turned,
        groups=int_of(node, "groups", 1),
        copies=int_of(node, "copies", 1),
        row_cuts=list(node.attributes["row_cuts"].as_ints()),
        col_cuts=list(node.attributes["col_cuts"].as_ints()),
    )
    return [e.reduce_sum(back, [-2]), None]


def joined(e: GradientEmitter, updates: Sequence[ReadUpdate]) -> tuple[ir.Value, ir.Value]:
    """Return x and d of the one update for all reads of a matrix: their positions in a row.

    One read keeps its own x and d. Else x [N, (groups,) P, C] and d [N, (groups,) P, R], where P
    counts the positions of a sample in all reads, in the order of the forward cycle.
    """
    if len(updates) == 1:
        return updates[0].x, updates[0].d
    groups = int_of(updates[0].read, "groups", 1)
    axis = 2 if groups > 1 else 1
    x, d = (
        e.op("Concat", *(_by_position(e, value, axis) for value in values), axis=axis, out=out)
        for values, out in (
            ([update.x for update in updates], f"{e.scope}.x"),
            ([update.d for update in updates], f"{e.scope}.d"),
        )
    )
    return x, d


def _by_position(e: GradientEmitter, value: ir.Value, axis: int) -> ir.Value:
    """[N, (groups,) .., lines] with one axis for all positions, which may be none."""
    places = static_dims(value, axis)[:-1]
    if len(places) == 1:
        return value
    lines = static_dims(value, axis)[-1]
    return e.reshape(value, [*[0] * axis, math.prod(places), lines])


def _of_the_weight(e: GradientEmitter, read: ir.Node, d: ir.Value) -> ir.Value:
    """Turn the gradient of a Read's outputs into what moves its devices as the weight should.

    Of n devices a weight each is updated as the weight would be, which undoes their mean: the
    weight then moves as one device would, with 1/n of the variance (Gokmen, Onen & Haensch 2017).
    Where the outputs are multiplied by s, d is s times the gradient of the layer's output and the
    weight is s times what the devices hold: both are undone by 1/s².
    """
    devices = int(read.metadata_props.get(DEVICES, "1"))
    scale = weight_scale(read)
    if scale is not None:
        by_line = scale if scale.size == 1 else np.tile(scale, devices)
        factors = devices / by_line.astype(np.float64) ** 2
        by = e.initializer(f"{read.metadata_props[LAYER]}.per_scale", factors.astype(scale.dtype))
        return e.op("Mul", d, by)
    return d if devices == 1 else e.op("Mul", d, e.like(d, float(devices)))


def _without_segments(e: GradientEmitter, part: ir.Value) -> ir.Value:
    """Drop the segment axis; the Unsqueeze that the sum's rule just wrote is looked through."""
    producer = part.producer()
    if producer is not None and producer.op_type == "Unsqueeze":
        return input_of(producer)
    return e.op("Squeeze", part, e.constant([-2]))


def im2col(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Add each window's columns back to where they came from: Col2Im."""
    X = input_of(node)
    channels = known_shape(X)[1]
    assert isinstance(channels, int)
    columns = e.transpose(the(g), (0, 2, 1))
    image = col2im(e, columns, channels, Window.of(node))
    image.shape = known_shape(X).copy()
    return [image]


def col2im_node(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Look at g through the same window: Im2Col is the adjoint of Col2Im."""
    kernel = constant_ints(node, 2) or []
    ones = (1,) * len(kernel)
    columns = e.rpu(
        "Im2Col",
        the(g),
        kernel_shape=kernel,
        strides=list(ints(node, "strides", ones)),
        pads=list(ints(node, "pads", (0,) * (2 * len(kernel)))),
        dilations=list(ints(node, "dilations", ones)),
    )
    return [e.transpose(columns, (0, 2, 1))]


def assign(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Bring the shares' gradients back into the order of the positions."""
    positions = known_shape(input_of(node))[1]
    assert isinstance(positions, int)
    layer = int_of(node, "layer", 0)
    return [e.rpu("Collect", the(g), positions=[positions], layer=layer)]


def collect(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Share the gradients out as the positions were."""
    copies = known_shape(input_of(node))[1]
    assert isinstance(copies, int)
    return [e.rpu("Assign", the(g), copies=[copies], layer=int_of(node, "layer", 0))]


def append_one(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Drop the last column: nothing feeds the constant 1."""
    return [e.op("Slice", the(g), e.constant([0]), e.constant([-1]), e.constant([-1]))]
