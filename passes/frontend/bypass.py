"""Take nodes out that do nothing: Identity. Not for which Dropouts go: `draw_dropouts.py`."""

from __future__ import annotations

import onnx_ir as ir


def drop_idle_nodes(model: ir.Model) -> None:
    """Remove Identity nodes, as `bypass` does."""
    for node in list(model.graph):
        if node.domain == "" and node.op_type == "Identity":
            bypass(model.graph, node)


def bypass(graph: ir.Graph, node: ir.Node) -> None:
    """Let what uses a node's result use its first input.

    A graph output keeps its name. Where input and output are both part of the graph's interface, an
    Identity stays.
    """
    source, result = node.inputs[0], node.outputs[0]
    if source is None:
        return
    if result.is_graph_output():
        if source.producer() is None or source.is_graph_output():
            identity = ir.Node("", "Identity", [source], num_outputs=1, name=node.name)
            _take_over(graph, node, identity.outputs[0])
            graph.insert_before(node, identity)
        else:
            _take_over(graph, node, source)
    else:
        result.replace_all_uses_with(source)
    graph.remove(node, safe=True)


def _take_over(graph: ir.Graph, node: ir.Node, value: ir.Value) -> None:
    """Let `value` be the graph output that the node's result was, name included."""
    result = node.outputs[0]
    name, result.name = result.name, None
    if value.type is None:
        value.type, value.shape = result.type, result.shape
    value.name = name
    result.replace_all_uses_with(value, replace_graph_outputs=True)
