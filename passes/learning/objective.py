"""Which loss a network is trained with, and of which of its values: the logits behind a softmax.

Not for the losses themselves: `passes/gradients/losses.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from rpucc import arguments
from rpucc.errors import ModelError, UnsupportedError
from rpucc.losses import ALLOWED, BINARY, HUBER, LABELS, NONE, named
from rpucc.passes.frontend.rules import Problems
from rpucc.passes.gradients.backward import dependents
from rpucc.passes.gradients.context import GradientEmitter
from rpucc.passes.gradients.losses import (
    ClassWeights,
    Loss,
    binary_cross_entropy,
    cross_entropy,
)
from rpucc.passes.gradients.regression import huber, mae, mse
from rpucc.passes.graph_reader import CYCLE, int_of, known_shape
from rpucc.passes.graph_writer import graph_input
from rpucc.passes.learning.own_loss import own_loss
from rpucc.step_contract import LOSSES as AVERAGES
from rpucc.step_contract import SCORES, Metric

_SHAPE_ONLY = ("Identity", "Reshape", "Flatten", "Squeeze")


@dataclass(frozen=True)
class Wanted:
    """The loss that a user asks for."""

    loss: str | ir.Model = "auto"
    """A name (`rpucc.losses`), or the model of a loss of their own."""
    class_weights: ClassWeights | None = None
    label_smoothing: float = 0.0
    input_gradients: bool = False
    """Whether the gradients of the data inputs are computed, too: for a loop of one's own."""

    @property
    def outside(self) -> bool:
        """Whether gradients come from outside: there is no loss."""
        return self.loss == NONE

    @property
    def label_options(self) -> str:
        """What only cross-entropy takes, of what is asked for; empty for nothing."""
        asked = {
            "class weights": self.class_weights is not None,
            "label smoothing": self.label_smoothing > 0,
        }
        return " and ".join(name for name, there in asked.items() if there)


@dataclass(frozen=True)
class Objective:
    """What backprop descends: a loss in the graph."""

    rule: str
    """The name of the loss."""
    output: ir.Value
    """The value of the network that it scores."""
    loss: Loss

    def gradients(self) -> dict[str, str]:
        """Where the gradient goes in, unless it is called as `StepContract.entries` expects."""
        at, gradient = str(self.loss.at.name), str(self.loss.gradient.name)
        usual = at == self.output.name and gradient == f"{at}.grad"
        return {} if usual else {at: gradient}

    def metrics(self) -> tuple[Metric, ...]:
        """The loss, and the error where there are labels that an output can miss."""
        output, value = str(self.output.name), str(self.loss.value.name)
        weight = None if self.loss.weight is None else str(self.loss.weight.name)
        loss = Metric("loss", output, self.rule, AVERAGES[self.rule], value, weight)
        score = LABELS[self.rule]
        if score == "targets":
            return (loss,)
        return (loss, Metric("error", output, score, SCORES[score]))


def objective(e: GradientEmitter, wanted: Wanted, problems: Problems) -> Objective:
    """Emit the loss that is wanted ("auto": the one that suits the network's output)."""
    output = _output(e.graph, problems)
    if isinstance(wanted.loss, ir.Model):
        _refuse_label_options(wanted, "a loss of your own")
        return Objective(*_of_own(e, output, wanted.loss))
    found = named(wanted.loss)
    if found is None:
        raise arguments.wrong("loss", wanted.loss, ALLOWED)
    name, delta = found
    rule = _loss_of(output) if name == "auto" else name
    if rule == "cross-entropy":
        output = _logits(e, output)
        loss = cross_entropy(e, output, wanted.class_weights, wanted.label_smoothing)
        return Objective(rule, output, loss)
    _refuse_label_options(wanted, rule)
    if rule == BINARY:
        output = _probabilities(output)
        return Objective(rule, output, binary_cross_entropy(e, output))
    if rule == HUBER:
        return Objective(rule, output, huber(e, output, delta))
    return Objective(rule, output, {"mse": mse, "mae": mae}[rule](e, output))


def outside(
    e: GradientEmitter, wanted: Wanted, sources: Sequence[ir.Value]
) -> dict[ir.Value, ir.Value]:
    """Return each output that moves with the sources, with a graph input for its gradient.

    For a program without a loss. Raises ModelError where no output does.
    """
    _refuse_label_options(wanted, NONE)
    moved = dependents(e.graph, sources)
    outputs = [value for value in dict.fromkeys(e.graph.outputs) if value in moved]
    if not outputs:
        raise ModelError(
            "the model has nothing to train: its outputs do not depend on any layer's weights by "
            "floating-point operations"
        )
    return {
        value: graph_input(
            e, f"{value.name}.grad", value.dtype or ir.DataType.FLOAT, known_shape(value)
        )
        for value in outputs
    }


def error_by_labels(output: ir.Value) -> Metric:
    """The error of a program without a loss, as that of inference: labels say what is wrong."""
    return Metric("error", str(output.name), "labels", SCORES["labels"])


def _of_own(e: GradientEmitter, output: ir.Value, model: ir.Model) -> tuple[str, ir.Value, Loss]:
    rule, loss = own_loss(e, output, model)
    return rule, output, loss


def _refuse_label_options(wanted: Wanted, loss: str) -> None:
    if wanted.label_options:
        raise UnsupportedError(
            f"{wanted.label_options}: belong to cross-entropy, but the loss is {loss}; leave them "
            "out, or compile with loss = cross-entropy"
        )


def _output(graph: ir.Graph, problems: Problems) -> ir.Value:
    """Return the value that the loss is about; one of several only where problems collect."""
    outputs = list(graph.outputs)
    if len(outputs) != 1:
        names = ", ".join(str(value.name) for value in outputs)
        problems.add(
            UnsupportedError(
                f"the model has {len(outputs)} outputs ({names}); training needs exactly one; keep "
                "the one that the labels are about, or, for a loop of your own, compile with "
                f"loss = {NONE}"
            )
        )
    _check_batch(graph, outputs[0], problems)
    return outputs[0]


def _check_batch(graph: ir.Graph, output: ir.Value, problems: Problems) -> None:
    """Refuse an output whose rows are no samples, where its shape says so."""
    found, batch = ((v.shape or ir.Shape([]))[:1] for v in (output, graph.inputs[0]))
    known = all(isinstance(size, int) for size in (*found, *batch))
    if known and found and found != batch:
        problems.add(
            UnsupportedError(
                f"output {output.name!r} {list(known_shape(output))}: its first axis is not the "
                f"batch ({batch[0]}), so its rows are no samples that labels could belong to; "
                "export the model with an output [batch, classes]"
            )
        )


def _loss_of(output: ir.Value) -> str:
    """Return the loss that "auto" stands for: cross-entropy over one class would always be 0."""
    last = _probabilities(output)
    shape = last.shape
    if shape is None or shape.rank() < 2 or shape[1] != 1:
        return "cross-entropy"
    node = last.producer()
    return BINARY if node is not None and node.op_type == "Sigmoid" else "mse"


def _probabilities(output: ir.Value) -> ir.Value:
    """Return what a final Sigmoid gives, before the changes of shape behind it; else `output`."""
    value = _before_shapes(output)
    node = value.producer()
    return value if node is not None and node.op_type == "Sigmoid" else output


def _before_shapes(output: ir.Value) -> ir.Value:
    """Return the value that the output is but for changes of shape."""
    value, node = output, output.producer()
    while node is not None and node.op_type in _SHAPE_ONLY and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return value


def _logits(e: GradientEmitter, output: ir.Value) -> ir.Value:
    """Return [N, K] (or [N, K, *space]) before a final softmax; trailing dimensions of 1 go."""
    value = _before_shapes(output)
    node = value.producer()
    if node is None or node.op_type not in ("Softmax", "LogSoftmax"):
        logits = output
    else:
        assert node.inputs[0] is not None
        logits = node.inputs[0]
        rank = known_shape(logits).rank()
        if int_of(node, "axis", -1) % rank != 1:
            raise UnsupportedError(
                f"node {node.name!r} ({node.op_type}): cross-entropy needs the classes on axis 1, "
                f"found axis {int_of(node, 'axis', -1)} of {known_shape(logits)}; transpose the "
                "output, or compile with loss = mse"
            )
        if value is not output and not _same_but_ones(value, output):
            raise UnsupportedError(
                f"output {output.name!r}: it reshapes the {node.op_type} {node.name!r} from "
                f"{value.shape} to {output.shape}; end the model at the {node.op_type}"
            )
    shape = known_shape(logits)
    if shape.rank() > 2 and all(dim == 1 for dim in shape.dims[2:]):
        e.metadata = {CYCLE: "forward"}
        logits = e.op("Flatten", logits, name="logits", out="logits", axis=1)
        logits.shape = ir.Shape(shape.dims[:2])
    return logits


def _same_but_ones(before: ir.Value, after: ir.Value) -> bool:
    """Whether a reshape only adds or drops trailing dimensions of 1, or does nothing."""
    return _without_trailing_ones(before) == _without_trailing_ones(after)


def _without_trailing_ones(value: ir.Value) -> list[int | ir.SymbolicDim]:
    dims = list(known_shape(value).dims)
    while len(dims) > 2 and dims[-1] == 1:
        dims.pop()
    return dims
