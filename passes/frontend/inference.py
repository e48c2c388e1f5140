"""Take what was exported in training mode as in inference: Dropout and BatchNormalization.

The training step is rpucc's own, and what becomes of these ops is the target's choice: of a batch
norm `fold_batchnorm.py`'s, which the mode in the file tells that its statistics were never
measured, of a dropout `draw_dropouts.py`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import onnx_ir as ir

TRAINING_MODE = "rpucc.training_mode"
"""Node metadata of a node that the file has in training mode, where that has been cleared."""

CONSTANT_INPUTS = "rpucc.constant_inputs"
"""Node metadata of a batch norm whose scale (input 1) or bias (2) is no weight of the file, but a
number of its formula, as that of `affine=False` in PyTorch and `scale=False` in Keras: "1", "2" or
"1 2". It is not trained."""


_SAME_NUMBERS = ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast")


def note_constant_inputs(model: ir.Model) -> None:
    """Note which batch norms have a scale or bias from a Constant, or computed from such.

    Some exporters write all weights as Constants: there, these are weights too.
    """
    initializers = model.graph.initializers.values()
    if all(value.shape is None or value.shape.rank() < 2 for value in initializers):
        return
    for node in model.graph:
        if node.domain == "" and node.op_type == "BatchNormalization":
            inputs = enumerate(node.inputs[1:3], start=1)
            found = [str(at) for at, value in inputs if value is not None and not _is_weight(value)]
            if found:
                node.metadata_props[CONSTANT_INPUTS] = " ".join(found)


def _is_weight(value: ir.Value) -> bool:
    """Whether a value is an initializer of the file, in any shape."""
    found: ir.Value | None = value
    while found is not None and not found.is_initializer():
        producer = found.producer()
        if producer is None or producer.op_type not in _SAME_NUMBERS:
            return False
        found = producer.inputs[0]
    return found is not None


def take_as_inference(model: ir.Model) -> None:
    """Clear the training mode of every node, functions included.

    A batch norm then uses the running mean and variance that are its inputs, and a dropout does
    nothing; outputs for new statistics and masks go away (rules have refused them where they are
    used).
    """
    for node in standard_nodes(model):
        if node.op_type == "Dropout":
            _leave_dropout(node)
        elif node.op_type == "BatchNormalization":
            _leave_batch_norm(node)


def in_training_mode(model: ir.Model) -> set[str]:
    """Return the first results of the nodes of the graph that are in training mode."""
    return {
        str(node.outputs[0].name)
        for node in model.graph
        if node.domain == "" and node.op_type in _IS_TRAINING and _IS_TRAINING[node.op_type](node)
    }


def standard_nodes(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the nodes of ONNX's own operators in a file: those of the graph, then of functions."""
    for graph in (model.graph, *model.functions.values()):
        yield from (node for node in graph if node.domain in ("", "ai.onnx"))


def _drops(node: ir.Node) -> bool:
    """Whether a dropout is in training mode, or may be."""
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    mode = ir.convenience.get_const_tensor(node.inputs[2])
    return mode is None or bool(np.all(mode.numpy()))


def _normalises(node: ir.Node) -> bool:
    """Whether a batch norm is in training mode; before opset 14 the number of outputs said it."""
    return bool(node.attributes.get_int("training_mode", 0)) or len(node.outputs) > 1


_IS_TRAINING: dict[str, Callable[[ir.Node], bool]] = {
    "Dropout": _drops,
    "BatchNormalization": _normalises,
}


def _leave_dropout(node: ir.Node) -> None:
    """Drop the input that asks for training mode, and the mask where nothing uses it."""
    if len(node.inputs) > 2:
        node.resize_inputs(2)
    if len(node.outputs) > 1 and not (node.outputs[1].uses() or node.outputs[1].is_graph_output()):
        node.resize_outputs(1)


def _leave_batch_norm(node: ir.Node) -> None:
    """Clear `training_mode`, and the outputs that it has."""
    node.attributes.pop("training_mode", None)
    if len(node.outputs) > 1:
        node.resize_outputs(1)
