"""How the importer's messages name things: a node, a shape, another library's error in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence

import onnx_ir as ir

from rpucc.errors import one_line as printable

NAME_KEY = "rpucc.model_label"  # key in ir.Model.meta, never saved: what messages call the model


def label_of(model: ir.Model) -> str:
    """What messages call this model: its file, else its graph's name."""
    label = model.meta.get(NAME_KEY)
    return str(label) if label else f"model {model.graph.name or '(unnamed)'!r}"


def node_text(node: ir.Node) -> str:
    """Name a node for a message: `node 'conv1' (Conv)`."""
    if node.name:
        return f"node {node.name!r} ({node.op_type})"
    outputs = ", ".join(repr(v.name) for v in node.outputs if v.name)
    return f"an unnamed {node.op_type} node (output {outputs})"


def shape_text(dims: Sequence[object] | None) -> str:
    """Write a shape as `[N, 1, 28, 28]`; unknown dimensions are `?`."""
    if dims is None:
        return "of unknown shape"
    return "[" + ", ".join("?" if d is None else printable(d) for d in dims) + "]"


def one_line(error: BaseException) -> str:
    """Squeeze another library's error into one short line, without its source positions."""
    text = re.sub(r"/\S+?\.(?:cc|h|cpp):\d+\S*", "", str(error)) or type(error).__name__
    text = re.sub(r"==> Context:.*", "", text, flags=re.DOTALL)
    text = re.sub(r"\s+", " ", text).strip(" .:")
    return text if len(text) <= 300 else text[:297] + "..."
