"""Losses of labels: each emits its value and its gradient at the network's output.

Labels and targets become graph inputs. All losses are means, so the batch size does not scale the
learning rate. Losses of targets are `regression.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import NO_LAYER, OF_LOSS
from rpucc.losses import BINARY
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.graph_reader import CYCLE, known_shape
from rpucc.passes.graph_writer import graph_input

LEAST = 1e-30
"""What a batch counts whose labels all have a class that weighs nothing."""

ClassWeights = Sequence[float] | Callable[[tuple[int, ...]], Sequence[float]]
"""One weight a class, or what returns them for an output [K, *space]."""


@dataclass(frozen=True)
class Loss:
    """What a loss added to the graph."""

    value: ir.Value
    """The loss, a scalar."""
    at: ir.Value
    """The value that the gradient is of: the output, or the logits that it is made of."""
    gradient: ir.Value
    """The gradient of the loss, of that value's shape."""
    labels: ir.Value
    """The new graph input: labels or targets."""
    weight: ir.Value | None = None
    """What the loss is a mean over, a scalar, where that is no count of samples."""


def cross_entropy(
    e: GradientEmitter,
    logits: ir.Value,
    weights: ClassWeights | None = None,
    smoothing: float = 0.0,
) -> Loss:
    """Mean of -log softmax(logits)[label]; gradient (softmax - onehot)/count.

    logits [N, K] with int64 labels [N], or [N, K, *space] with labels [N, *space].

    weights: one w a class, or what returns them for [K, *space]. The mean is then weighted by
    the labels' w: Σ w[label] · -log softmax[label] / Σ w[label]; 0 where no label weighs anything.
    smoothing: ε in [0, 1); the label's class then has 1 - ε + ε/K of what a sample weighs and each
    other ε/K, times its own w. Both as PyTorch's CrossEntropyLoss has them.
    """
    shape = known_shape(logits)
    if shape.rank() < 2 or not isinstance(shape[1], int):
        raise UnsupportedError(
            f"output {logits.name!r}: cross-entropy needs [N, classes, ...], found {shape}; "
            "compile with loss = mse, or with --inference"
        )
    if shape[1] == 1:
        raise UnsupportedError(
            f"output {logits.name!r} {shape}: cross-entropy over one class is always 0; "
            f"compile with loss = {BINARY} (labels 0 and 1) or mse"
        )
    labels = graph_input(e, "labels", ir.DataType.INT64, ir.Shape([shape[0], *shape[2:]]))
    by_class = None if weights is None else _initializer(e, logits, weights)
    if smoothing or by_class is not None:
        return _weighted(e, logits, labels, by_class, smoothing)
    e.metadata = {}
    value = e.op(
        "SoftmaxCrossEntropyLoss", logits, labels, out="loss", name="loss", reduction="mean"
    )
    e.metadata = {CYCLE: "backward"}
    e.scope = "loss.grad"
    dtype = logits.dtype or ir.DataType.FLOAT
    softmax = e.op("Softmax", logits, axis=1)
    onehot = e.op("OneHot", labels, e.constant(shape[1]), e.constant([0, 1], dtype), axis=1)
    count = e.op("CastLike", e.op("Size", labels), logits)
    gradient = e.op("Div", e.op("Sub", softmax, onehot), count, shape=shape)
    return Loss(value, logits, gradient, labels)


def _initializer(e: GradientEmitter, logits: ir.Value, weights: ClassWeights) -> ir.Value:
    """Add the weights of the classes, [K], as the initializer `class_weights`."""
    sizes = list(known_shape(logits))[1:]
    if callable(weights):
        weights = weights(tuple(size for size in sizes if isinstance(size, int)))
    if len(weights) != sizes[0]:
        raise UnsupportedError(
            f"output {logits.name!r} {known_shape(logits)}: has {sizes[0]} classes, but there are "
            f"{len(weights)} class weights; give one for each class"
        )
    dtype = logits.dtype or ir.DataType.FLOAT
    return e.initializer("class_weights", np.asarray(weights, dtype.numpy()))


def _weighted(
    e: GradientEmitter,
    logits: ir.Value,
    labels: ir.Value,
    weights: ir.Value | None,
    smoothing: float,
) -> Loss:
    """Cross-entropy with weights of classes, with what a label's class leaves to others, or both.

    With q the weights times the smoothed one-hot labels, the loss is Σ -q log softmax / Σ w[label]
    and its gradient (softmax Σq - q) / Σ w[label], Σq over the classes.
    """
    shape, dtype = known_shape(logits), logits.dtype or ir.DataType.FLOAT
    classes = shape[1]
    assert isinstance(classes, int)
    e.metadata, e.scope = {NO_LAYER: OF_LOSS}, "loss"
    of_label = None if weights is None else e.op("Gather", weights, labels)
    if of_label is None:
        weight = e.op("CastLike", e.op("Size", labels), logits)
    else:
        # Where nothing weighs anything 0 / LEAST is the 0 that 0 / 0 is not.
        weight = e.op("Max", e.op("ReduceSum", of_label, keepdims=0), e.like(logits, LEAST))
    rest = smoothing / classes
    ends = e.constant([rest, 1 - smoothing + rest], dtype)
    q = e.op("OneHot", labels, e.constant(classes), ends, axis=1, shape=shape)
    if weights is not None:
        column = e.reshape(weights, [classes, *[1] * (shape.rank() - 2)])
        q = e.op("Mul", q, column, shape=shape)
    if smoothing:
        each = e.op("Mul", q, e.op("LogSoftmax", logits, axis=1))
        total = e.op("Neg", e.op("ReduceSum", each, keepdims=0))
    else:
        total = e.op("SoftmaxCrossEntropyLoss", logits, labels, weights, reduction="sum")
    value = e.op("Div", total, weight, out="loss", name="loss")
    e.metadata, e.scope = {CYCLE: "backward"}, "loss.grad"
    share = e.op("ReduceSum", q, e.constant([1]), keepdims=1)
    pulled = e.op("Mul", e.op("Softmax", logits, axis=1), share, shape=shape)
    gradient = e.op("Div", e.op("Sub", pulled, q), weight, shape=shape)
    return Loss(value, logits, gradient, labels, None if weights is None else weight)


def binary_cross_entropy(e: GradientEmitter, output: ir.Value) -> Loss:
    """Mean of -t log p - (1 - t) log(1 - p) over all outputs; gradient (p - t)/count.

    output: [N, K, *space], each a probability p if it comes out of a Sigmoid, else its logit z;
    targets t of the same shape, 0 and 1 or between them. Computed from z as softplus(z) - t z, and
    with the gradient at z, so that a p that is rounded to 0 or 1 does no harm.
    """
    shape = known_shape(output)
    if shape.rank() < 2:
        raise UnsupportedError(
            f"output {output.name!r}: {BINARY} needs [N, outputs, ...], found {shape}; compile "
            "with loss = mse, or with --inference"
        )
    sigmoid = output.producer()
    is_probability = sigmoid is not None and sigmoid.op_type == "Sigmoid"
    z = sigmoid.inputs[0] if sigmoid is not None and is_probability else output
    assert z is not None
    dtype = z.dtype or ir.DataType.FLOAT
    targets = graph_input(e, "targets", dtype, shape)
    e.metadata = {}
    e.scope = "loss"
    each = e.op("Sub", e.op("Softplus", z), e.op("Mul", targets, z))
    value = e.op("ReduceMean", each, out="loss", keepdims=0)
    e.metadata = {CYCLE: "backward"}
    e.scope = "loss.grad"
    p = output if is_probability else e.op("Sigmoid", z)
    count = e.op("CastLike", e.op("Size", z), z)
    gradient = e.op("Div", e.op("Sub", p, targets), count, shape=shape)
    return Loss(value, z, gradient, targets)
