"""The loss and its gradient as one instruction: the end of the forward pass.

SoftmaxCrossEntropyLoss;  Softmax -> Sub(OneHot) -> Div
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import onnx_ir as ir

from rpucc.runtime.digital.softmax import wrong_label
from rpucc.runtime.fits import require
from rpucc.runtime.instructions.patterns import Graph, initial
from rpucc.runtime.kernels.softmax import cross_entropy_head

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor, Instruction


@dataclass
class Head:
    """Mean cross entropy of logits [N, K] and int64 labels [N], and (softmax - one hot) / N."""

    nodes: tuple[ir.Node, ...]
    loss: ir.Node

    def build(self, executor: Executor, _nodes: tuple[ir.Node, ...]) -> Instruction:
        """Loss and gradient; a label that is no class raises DataError."""
        logits, labels = (executor.array(v) for v in self.loss.inputs)
        fits = logits.ndim == 2 and labels.shape == logits.shape[:1] and labels.dtype == np.int64
        require(self.loss, fits, f"its labels {list(labels.shape)} do not fit {list(logits.shape)}")
        loss = executor.new(self.loss.outputs[0], ())
        out = executor.new(self.nodes[-1].outputs[0], logits.shape)
        divisor = np.float32(executor.array(self.nodes[-1].inputs[1]))

        def run() -> None:
            bad = cross_entropy_head(logits, labels, divisor, loss, out)
            if bad >= 0:
                raise wrong_label(self.loss, labels[bad], logits.shape[1])

        return run


def find_heads(graph: Graph) -> list[Head]:
    """The losses of a run whose gradient is in it, too."""
    heads = (_head(graph, node) for node in graph.nodes if node.op_type == "Div")
    return [head for head in heads if head is not None]


def _head(graph: Graph, div: ir.Node) -> Head | None:
    sub = graph.made_for(div, 0, "Sub")
    softmax = graph.made_for(sub, 0, "Softmax") if sub is not None else None
    one_hot = graph.made_for(sub, 1, "OneHot") if sub is not None else None
    if sub is None or softmax is None or one_hot is None or not _constant(div.inputs[1]):
        return None
    logits, labels = softmax.inputs[0], one_hot.inputs[0]
    if logits is None or labels is None or logits.shape is None or len(logits.shape) != 2:
        return None
    losses = [
        node
        for node in graph.users(logits)
        if node.op_type == "SoftmaxCrossEntropyLoss" and list(node.inputs) == [logits, labels]
    ]
    plain = (
        len(losses) == 1
        and len(losses[0].outputs) == 1
        and losses[0].attributes.get_string("reduction", "mean") == "mean"
        and "ignore_index" not in losses[0].attributes
        and not graph.users(losses[0].outputs[0])
        and logits.dtype == ir.DataType.FLOAT
        and labels.dtype == ir.DataType.INT64
        and softmax.attributes.get_int("axis", -1) in (-1, 1)
        and one_hot.attributes.get_int("axis", -1) in (-1, 1)
        and initial(one_hot.inputs[1]) == [list(logits.shape)[1]]
        and initial(one_hot.inputs[2]) == [0, 1]
    )
    return Head((losses[0], softmax, one_hot, sub, div), losses[0]) if plain else None


def _constant(value: ir.Value | None) -> bool:
    """A number of the batch size only: an initializer, or CastLike(Size)."""
    cast = value.producer() if value is not None else None
    if cast is None:
        return initial(value) is not None and len(initial(value) or []) == 1
    size = cast.inputs[0].producer() if cast.inputs[0] is not None else None
    return cast.op_type == "CastLike" and size is not None and size.op_type == "Size"
