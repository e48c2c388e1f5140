"""Constants: evaluate constant subgraphs, and give every use of a weight its own initializer.

Not an optimiser: nothing that depends on the input is touched, and no weight is removed because
its values look idle (a zero bias is trained like any other).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.layers import LAYER_OPS
from rpucc.passes.frontend.onnx_tools import evaluate_node

SHARED_KEY = "rpucc.shared_weights"
"""Model metadata: JSON {weight name: [names of the nodes that the file lets share it]}."""

_RANDOM_OPS = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array of an initializer, or None for any other value."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    array: NDArray[np.generic] = value.const_value.numpy()
    return array


def add_initializer(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Register a new initializer under `name`, or under `name_2`, ... where that is taken."""
    taken = value_names(model)
    unique, count = name, 1
    while unique in taken:
        count += 1
        unique = f"{name}_{count}"
    tensor = ir.tensor(array, name=unique)
    value = ir.Value(
        name=unique,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    model.graph.register_initializer(value)
    return value


def value_names(model: ir.Model) -> set[str]:
    """Names of all values of the graph."""
    graph = model.graph
    names = {v.name for v in graph.inputs} | set(graph.initializers)
    names |= {v.name for node in graph for v in node.outputs}
    return {name for name in names if name}


def fold_constants(model: ir.Model) -> None:
    """Replace every node whose inputs are all constants by its results, as onnxruntime has them.

    A result keeps its value's name. Nodes that draw random numbers, nodes of the rpu domain,
    nodes that make a graph output, and nodes that onnxruntime refuses stay (shape inference then
    says what is wrong with the last).
    """
    for node in list(model.graph):
        if node.domain != "" or node.op_type in _RANDOM_OPS:
            continue
        if any(value.is_graph_output() for value in node.outputs):
            continue
        arrays = [constant(value) for value in node.inputs]
        absent = [value is None for value in node.inputs]
        if any(a is None and not b for a, b in zip(arrays, absent, strict=True)):
            continue
        try:
            results = evaluate_node(node, arrays, model.graph.opset_imports)
        except Exception:  # noqa: BLE001  onnxruntime's exceptions share no base class
            continue
        replace_by_constants(model, node, results)


def replace_by_constants(
    model: ir.Model, node: ir.Node, results: Sequence[NDArray[np.generic]]
) -> None:
    """Put initializers in the place of a node's (named) outputs; they keep the names."""
    outputs = [value for value in node.outputs if value.name]
    names = [str(value.name) for value in outputs]
    for value in outputs:
        value.name = None  # the initializer takes the name over
    for value, name, array in zip(outputs, names, results, strict=True):
        value.replace_all_uses_with(add_initializer(model, name, array))
    model.graph.remove(node, safe=True)


def separate_weights(model: ir.Model) -> None:
    """Give every use of a floating-point constant its own initializer: `w`, `w_2`, ...

    Optimisers merge equal constants (two zero biases, say); in training that would tie the two
    layers together. A weight matrix that several layers use is shared on purpose: it stays one
    initializer, together with the bias that all of them use, and `SHARED_KEY` records it.
    """
    shared: dict[str, list[str]] = {}
    for value in list(model.graph.initializers.values()):
        uses = sorted(value.uses(), key=lambda use: (str(use.node.name), use.idx))
        array = constant(value)
        if len(uses) < 2 or array is None or value.dtype != ir.DataType.FLOAT:
            continue
        if all(_tied(use.node, use.idx, uses[0].node) for use in uses):
            shared[str(value.name)] = [str(use.node.name) for use in uses]
            continue
        order = {node: k for k, node in enumerate(model.graph)}
        uses.sort(key=lambda use: (order[use.node], use.idx))
        for use in uses[1:]:
            copy = add_initializer(model, str(value.name), array.copy())
            use.node.replace_input_with(use.idx, copy)
    if shared:
        model.metadata_props[SHARED_KEY] = json.dumps(shared)


def _tied(node: ir.Node, index: int, first: ir.Node) -> bool:
    """Whether this use is a layer's weight, or the bias of a layer that shares `first`'s weight."""
    if node.domain != "" or node.op_type not in LAYER_OPS:
        return False
    if index == 2:
        same_op = first.op_type in LAYER_OPS and len(first.inputs) > 1
        return same_op and first.inputs[1] is node.inputs[1] and node.inputs[1] is not None
    return index == 1 or node.op_type == "MatMul"
