"""Softmax, its loss and the one-hot labels of its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import DataError
from rpucc.runtime.backend import Native
from rpucc.runtime.builder import Builder, Instruction, Shapes
from rpucc.runtime.kernels.softmax import cross_entropy_rows, one_hot_rows, softmax_rows

Array = NDArray[Any]


def _softmax(builder: Builder, node: ir.Node) -> Instruction:
    x = builder.array(node.inputs[0])
    out = builder.new(node.outputs[0], x.shape)
    rows, out_rows = x.reshape(-1, x.shape[-1]), out.reshape(-1, x.shape[-1])
    return lambda: softmax_rows(rows, out_rows)


def _over_last(shapes: Shapes, node: ir.Node) -> bool:
    x = shapes.array(node.inputs[0])
    axis = node.attributes.get_int("axis", -1)
    return x.dtype == np.float32 and axis in (-1, x.ndim - 1) and x.ndim > 0


def _loss(builder: Builder, node: ir.Node) -> Instruction:
    logits, labels = (builder.array(v) for v in node.inputs)
    out = builder.new(node.outputs[0], ())
    classes = logits.shape[1]
    unsigned = _unsigned(labels)

    def run() -> None:
        if unsigned.max() >= classes:
            raise wrong_label(node, labels[unsigned >= classes][0], classes)
        cross_entropy_rows(logits, labels, out)

    return run


def wrong_label(node: ir.Node, label: int, classes: int) -> DataError:
    """What to raise for a label that is no class."""
    return DataError(
        f"node '{node.name}' (SoftmaxCrossEntropyLoss): label {label} lies outside the "
        f"model's classes 0 to {classes - 1}"
    )


def _unsigned(labels: Array) -> Array:
    """A view in which negative labels are huge: one maximum finds all that index nothing."""
    return labels.view(np.dtype(f"u{labels.itemsize}"))


def _plain_loss(shapes: Shapes, node: ir.Node) -> bool:
    logits, labels = shapes.array(node.inputs[0]), shapes.array(node.inputs[1])
    return (
        len(node.inputs) == 2
        and len(node.outputs) == 1
        and logits.ndim == 2
        and logits.dtype == np.float32
        and labels.dtype.kind in "iu"
        and labels.shape == logits.shape[:1]
        and labels.size > 0
        and node.attributes.get_string("reduction", "mean") == "mean"
        and "ignore_index" not in node.attributes
    )


def _one_hot(builder: Builder, node: ir.Node) -> Instruction:
    labels, depth, values = (builder.array(v) for v in node.inputs)
    classes = int(depth.reshape(-1)[0])
    out = builder.new(node.outputs[0], (len(labels), classes))
    unsigned = _unsigned(labels)
    columns = np.arange(classes)

    def run() -> None:
        if unsigned.max() < classes:
            one_hot_rows(labels, values, out)
        else:  # ONNX: -1 is the last class, and a label that is no class leaves its row off
            at = np.where(labels < 0, labels + classes, labels)
            out[...] = np.where(at[:, None] == columns, values[1], values[0])

    return run


def _rows_of_labels(shapes: Shapes, node: ir.Node) -> bool:
    labels, depth, values = (shapes.array(v) for v in node.inputs)
    return (
        labels.ndim == 1
        and labels.size > 0
        and labels.dtype == np.int64
        and values.dtype == np.float32
        and values.shape == (2,)
        and depth.size == 1
        and shapes.constant(node.inputs[1]) is not None
        and node.attributes.get_int("axis", -1) in (-1, 1)
    )


SOFTMAX: dict[str, Native] = {
    "Softmax": Native(_softmax, _over_last),
    "SoftmaxCrossEntropyLoss": Native(_loss, _plain_loss),
    "OneHot": Native(_one_hot, _rows_of_labels),
}
