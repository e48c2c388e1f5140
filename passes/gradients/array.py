"""Gradients of the rpu ops and of Col2Im, Im2Col's adjoint: the backward cycle."""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.col2im import col2im
from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    constant_ints,
    input_of,
    refuse,
    the,
)
from rpucc.passes.graph_reader import int_of, known_shape
from rpucc.passes.learning.outer_product import outer_product
from rpucc.passes.window import Window, ints


def read(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """y = W x on an array: dx is one transposed read of d; the outer product is collected.

    A layer that has the matrix transposed computes y = Wᵀ x: then dx = W d. The learning rule may
    have d go back through another matrix of that shape (`e.through`): then dx is no gradient.
    """
    x = input_of(node, 0)
    turned = int_of(node, "transpose", 0)
    part = the(g)
    if known_shape(part)[-2] != 1:
        refuse(node, "its columns are cut into segments already (differentiate comes before tile)")
    d = _without_segments(e, part)
    if e.wants(node, 1):
        e.products.append(outer_product(e, node, x, d))
    if not e.wants(node, 0):
        return [None, None]
    matrix, notes = e.through(node)
    before = e.metadata
    e.metadata = {**before, **notes}
    back = e.rpu(
        "Read",
        d,
        matrix,
        transpose=1 - turned,
        groups=int_of(node, "groups", 1),
        copies=int_of(node, "copies", 1),
        row_cuts=list(node.attributes["row_cuts"].as_ints()),
        col_cuts=list(node.attributes["col_cuts"].as_ints()),
    )
    e.metadata = before
    return [e.reduce_sum(back, [-2]), None]


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
