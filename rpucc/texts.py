"""Texts of a model that are none: protobuf hands what is no UTF-8 over as bytes.

For whatever reads a model from a file. Not for attributes of the type string, which are bytes by
design.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir


def text_problems(model: ir.Model) -> Iterator[str]:
    """Yield names, symbols and metadata that are no text, one line each."""
    for where, text in _texts(model):
        if not isinstance(text, str | None):
            yield f"{where} is no text in UTF-8: {text!r}"


def _texts(model: ir.Model) -> Iterator[tuple[str, object]]:
    graph = model.graph
    yield "the graph's name", graph.name
    for domain in model.opset_imports:
        yield "the domain of an operator set", domain
    for holder, name in ((model, "the model"), (graph, "the graph")):
        yield from _metadata(holder.metadata_props, name)
    for value in (*graph.inputs, *graph.initializers.values()):
        yield from _of_value(value)
    for node in graph:
        where = f"node {node.name!r}"
        for key, text in (("name", node.name), ("op", node.op_type), ("domain", node.domain)):
            yield f"the {key} of {where}", text
        yield from _metadata(node.metadata_props, where)
        for attribute in node.attributes:
            yield f"an attribute's name of {where}", attribute
        for value in node.outputs:
            yield from _of_value(value)


def _of_value(value: ir.Value) -> Iterator[tuple[str, object]]:
    yield "the name of a value", value.name
    for dim in value.shape or ():
        if not isinstance(dim, int):
            yield f"a dimension of {value.name!r}", dim.value


def _metadata(metadata: dict[str, str], where: str) -> Iterator[tuple[str, object]]:
    for key, text in metadata.items():
        yield f"a key of the metadata of {where}", key
        yield f"metadata {key!r} of {where}", text
