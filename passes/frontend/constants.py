"""Constants: evaluate constant subgraphs.

Not an optimiser: nothing that depends on the input is touched, and no weight is removed because
its values look idle (a zero bias is trained like any other). Who uses which weight: `sharing.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.passes.frontend.lineage import descend, note_lineages
from rpucc.passes.frontend.onnx_tools import evaluate_node
from rpucc.passes.graph_writer import Names

RANDOM_OPS = (
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
)
"""Operators that draw from onnxruntime's own generator."""


def constant(value: ir.Value | None) -> NDArray[np.generic] | None:
    """The array of an initializer, or None for any other value."""
    if value is None or value.const_value is None or not value.is_initializer():
        return None
    array: NDArray[np.generic] = value.const_value.numpy()
    return array


def add_initializer(model: ir.Model, name: str, array: NDArray[np.generic]) -> ir.Value:
    """Register a new initializer under `name`, which no other value has (`value_names`)."""
    tensor = ir.tensor(array, name=name)
    value = ir.Value(
        name=name,
        shape=ir.Shape(array.shape),
        type=ir.TensorType(tensor.dtype),
        const_value=tensor,
    )
    model.graph.register_initializer(value)
    return value


def value_names(model: ir.Model) -> Names:
    """Names of all values of the graph: what a step that adds some asks once, not for each."""
    graph = model.graph
    names = {v.name for v in graph.inputs} | set(graph.initializers)
    names |= {v.name for node in graph for v in node.outputs}
    return Names(name for name in names if name)


def fold_constants(model: ir.Model) -> list[ir.Node]:
    """Replace every node whose inputs are all constants by its results, as onnxruntime has them.

    A result keeps its value's name. Nodes that draw random numbers, nodes of the rpu domain,
    nodes that make a graph output, and nodes that onnxruntime refuses stay (shape inference then
    says what is wrong with the last). Returns those that were replaced.
    """
    folded = []
    for node in list(model.graph):
        if node.domain != "" or node.op_type in RANDOM_OPS:
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
        lineages = descend(node, arrays, model.graph.opset_imports)
        made = replace_by_constants(model, node, results)
        for value, each in zip(made, lineages, strict=True):
            note_lineages(value, each)
        folded.append(node)
    return folded


def replace_by_constants(
    model: ir.Model, node: ir.Node, results: Sequence[NDArray[np.generic]]
) -> list[ir.Value]:
    """Put initializers in the place of a node's (named) outputs; they keep the names."""
    outputs = [value for value in node.outputs if value.name]
    names = [str(value.name) for value in outputs]
    for value in outputs:
        value.name = None  # the initializer takes the name over
    made = []
    for value, name, array in zip(outputs, names, results, strict=True):
        made.append(add_initializer(model, name, array))
        value.replace_all_uses_with(made[-1])
    model.graph.remove(node, safe=True)
    return made
