"""Which inputs of a file the network reads, and what becomes of the others.

Exporters leave inputs behind that only training needed, or that an optimiser has cut off. Not for
what the inputs that are read must be like: that is `support.py`.
"""

from __future__ import annotations

import onnx_ir as ir

from rpucc.passes.frontend.inference import take_as_inference


def network_inputs(model: ir.Model) -> list[str]:
    """Return the names of the inputs that the outputs depend on in inference, weights left out."""
    copy = model.clone()
    take_as_inference(copy)
    read, _ = _needed(copy.graph)
    return [str(value.name) for value in _inputs(copy.graph) if value in read]


def drop_unread_inputs(model: ir.Model) -> list[str]:
    """Remove the inputs that no output depends on, and what reads them; returns a note for each.

    Where no output depends on any input, all stay: what is wrong there is another matter.
    """
    graph = model.graph
    read, live = _needed(graph)
    unread = [value for value in _inputs(graph) if value not in read]
    if not unread or len(unread) == len(_inputs(graph)):
        return []
    for node in reversed(list(graph)):
        if node not in live:
            graph.remove(node, safe=True)
    for value in unread:
        graph.inputs.remove(value)
    return [f"input {value.name!r} is left out: no output depends on it" for value in unread]


def _inputs(graph: ir.Graph) -> list[ir.Value]:
    """The inputs of a graph; old files list weights among them."""
    return [value for value in graph.inputs if value.name not in graph.initializers]


def _needed(graph: ir.Graph) -> tuple[set[ir.Value], set[ir.Node]]:
    """Return the values and nodes that the outputs depend on, through graphs in attributes too."""
    values: set[ir.Value] = set()
    nodes: set[ir.Node] = set()
    pending = list(graph.outputs)
    while pending:
        value = pending.pop()
        if value in values:
            continue
        values.add(value)
        node = value.producer()
        if node is None or node in nodes:
            continue
        nodes.add(node)
        pending += _used_by(node)
    return values, nodes


def _used_by(node: ir.Node) -> list[ir.Value]:
    """What a node uses, and what the graphs in its attributes use."""
    used = list(node.inputs)
    for graph in _graphs_in(node):
        used.extend(graph.outputs)
        used += [value for inner in graph.all_nodes() for value in inner.inputs]
    return [value for value in used if value is not None]


def _graphs_in(node: ir.Node) -> list[ir.Graph]:
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found += attribute.as_graphs()
    return found
