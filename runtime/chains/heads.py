"""The loss and its gradient: the end of the forward pass.

SoftmaxCrossEntropyLoss;  Softmax -> Sub(OneHot) -> Div
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from rpucc.runtime.chains.chain import Chain
from rpucc.runtime.chains.graph import Graph, initial


@dataclass
class Head(Chain):
    """Mean cross entropy of logits [N, K] and int64 labels [N], and (softmax - one hot) / N."""

    loss: ir.Node


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
