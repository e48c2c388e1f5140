"""The losses: each emits its value and its gradient at the network's output.

Labels and targets become graph inputs. Both losses are means, so the batch size does not scale
the learning rate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.passes.emit import known_shape
from rpucc.passes.gradients.context import GradientEmitter


@dataclass(frozen=True)
class Loss:
    """What a loss added to the graph."""

    value: ir.Value
    """The loss, a scalar."""
    gradient: ir.Value
    """Its gradient, of the output's shape."""
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
            "compile with loss = mse"
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
    return Loss(value, gradient, labels)


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
    return Loss(value, gradient, targets)


def graph_input(e: GradientEmitter, name: str, dtype: ir.DataType, shape: ir.Shape) -> ir.Value:
    """Append a graph input called `name` (made unique)."""
    value = ir.val(e.unique(name), dtype, shape.copy())
    e.graph.inputs.append(value)
    return value


LOSSES: dict[str, Callable[[GradientEmitter, ir.Value], Loss]] = {
    "cross-entropy": cross_entropy,
    "mse": mse,
}
"""Loss name to what emits it."""
