"""Gradients of the rpu ops and of Col2Im, Im2Col's adjoint: the backward cycle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from rpucc.passes.emit import known_shape
from rpucc.passes.gradients.context import (
    GradientEmitter,
    ReadUpdate,
    constant_ints,
    input_of,
    refuse,
    the,
)
from rpucc.passes.window import Window, ints


def read(e: GradientEmitter, node: ir.Node, g: Sequence[ir.Value | None]) -> list[ir.Value | None]:
    """y = W x on an array: dx is one transposed read of d; the update is left to differentiate."""
    x, W = input_of(node, 0), input_of(node, 1)
    part = the(g)
    if known_shape(part)[-2] != 1:
        refuse(node, "its columns are cut into segments already (differentiate comes before tile)")
    d = _without_segments(e, part)
    if e.wants(node, 1):
        e.updates.append(ReadUpdate(W, x, d, node))
    if not e.wants(node, 0):
        return [None, None]
    back = e.rpu(
        "Read",
        d,
        W,
        transpose=1,
        row_cuts=list(node.attributes["row_cuts"].as_ints()),
        col_cuts=list(node.attributes["col_cuts"].as_ints()),
    )
    return [e.reduce_sum(back, [-2]), None]


def _without_segments(e: GradientEmitter, part: ir.Value) -> ir.Value:
    """Drop the segment axis; the Unsqueeze that the sum's rule just wrote is looked through."""
    producer = part.producer()
    if producer is not None and producer.op_type == "Unsqueeze":
        return input_of(producer)
    return e.op("Squeeze", part, e.constant([-2]))


def im2col(
    e: GradientEmitter, node: ir.Node, g: Sequence[ir.Value | None]
) -> list[ir.Value | None]:
    """Add each window's columns back to where they came from: Col2Im."""
    X = input_of(node)
    columns = e.transpose(the(g), (0, 2, 1))
    return [col2im(e, columns, X, Window.of(node))]


def col2im_node(
    e: GradientEmitter, node: ir.Node, g: Sequence[ir.Value | None]
) -> list[ir.Value | None]:
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


def col2im(e: GradientEmitter, columns: ir.Value, X: ir.Value, window: Window) -> ir.Value:
    """Emit Col2Im of [N, C·K, P] to the shape of X [N, C, *space]."""
    if window.rank != 2 and max(window.dilations) > 1:
        columns, window = _without_dilation(e, columns, X, window)
    shape = known_shape(X)
    return e.op(
        "Col2Im",
        columns,
        e.constant(window.space),
        e.constant(window.kernel),
        shape=shape,
        strides=list(window.strides),
        pads=list(window.pads),
        dilations=list(window.dilations),
    )


def _without_dilation(
    e: GradientEmitter, columns: ir.Value, X: ir.Value, window: Window
) -> tuple[ir.Value, Window]:
    """Fill the gaps of a dilated kernel with taps of zero.

    onnxruntime's Col2Im is wrong for dilations in 1 and 3 dimensions (its issue 18156; still so
    in 1.32), right in 2 dimensions.
    """
    N, C = known_shape(X)[0], known_shape(X)[1]
    assert isinstance(C, int)
    taps, positions = math.prod(window.kernel), math.prod(window.positions)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilations, strict=True))
    source = np.full(reach, taps)  # the index of the appended zero
    source[tuple(slice(None, None, d) for d in window.dilations)] = np.arange(taps).reshape(
        window.kernel
    )
    by_tap = e.reshape(columns, [-1, C, taps, positions])
    with_zero = e.op("Pad", by_tap, e.constant([0, 0, 0, 0, 0, 0, 1, 0]))
    filled = e.op("Gather", with_zero, e.constant(source.reshape(-1)), axis=2)
    flat = e.reshape(filled, [-1, C * source.size, positions])
    flat.shape = ir.Shape([N, C * source.size, positions])
    return flat, replace(window, kernel=reach, dilations=(1,) * window.rank)


def append_one(
    e: GradientEmitter, node: ir.Node, g: Sequence[ir.Value | None]
) -> list[ir.Value | None]:
    """Drop the last column: nothing feeds the constant 1."""
    return [e.op("Slice", the(g), e.constant([0]), e.constant([-1]), e.constant([-1]))]
