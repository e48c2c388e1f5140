"""The losses: each emits its value and its gradient at the network's output.

Labels and targets become graph inputs. All losses are means, so the batch size does not scale the
learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.graph_reader import known_shape
from rpucc.passes.graph_writer import graph_input

BINARY = "binary-cross-entropy"
"""The name of the loss over outputs that each say 0 or 1."""


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


def cross_entropy(e: GradientEmitter, logits: ir.Value) -> Loss:
    """Mean of -log softmax(logits)[label]; gradient (softmax - onehot)/count.

    logits [N, K] with int64 labels [N], or [N, K, *space] with labels [N, *space].
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
    e.metadata = {}
    value = e.op(
        "SoftmaxCrossEntropyLoss", logits, labels, out="loss", name="loss", reduction="mean"
    )
    e.metadata = {"rpucc.cycle": "backward"}
    e.scope = "loss.grad"
    dtype = logits.dtype or ir.DataType.FLOAT
    softmax = e.op("Softmax", logits, axis=1)
    onehot = e.op("OneHot", labels, e.constant(shape[1]), e.constant([0, 1], dtype), axis=1)
    count = e.op("CastLike", e.op("Size", labels), logits)
    gradient = e.op("Div", e.op("Sub", softmax, onehot), count, shape=shape)
    return Loss(value, logits, gradient, labels)


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
    e.metadata = {"rpucc.cycle": "backward"}
    e.scope = "loss.grad"
    p = output if is_probability else e.op("Sigmoid", z)
    count = e.op("CastLike", e.op("Size", z), z)
    gradient = e.op("Div", e.op("Sub", p, targets), count, shape=shape)
    return Loss(value, z, gradient, targets)


def mse(e: GradientEmitter, output: ir.Value) -> Loss:
    """Mean of (output - target)²; gradient 2 (output - target)/count."""
    dtype = output.dtype or ir.DataType.FLOAT
    shape = known_shape(output)
    targets = graph_input(e, "targets", dtype, shape)
    e.metadata = {}
    e.scope = "loss"
    error = e.op("Sub", output, targets)
    value = e.op("ReduceMean", e.op("Mul", error, error), out="loss", keepdims=0)
    e.metadata = {"rpucc.cycle": "backward"}
    e.scope = "loss.grad"
    count = e.op("CastLike", e.op("Size", output), output)
    gradient = e.op("Div", e.op("Mul", error, e.like(error, 2.0)), count, shape=shape)
    return Loss(value, output, gradient, targets)


LOSSES: dict[str, Callable[[GradientEmitter, ir.Value], Loss]] = {
    "cross-entropy": cross_entropy,
    BINARY: binary_cross_entropy,
    "mse": mse,
}
"""Loss name to what emits it."""
