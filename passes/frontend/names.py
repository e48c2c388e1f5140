"""Stable, pleasant, unique node names: they become the layers' names in plans and reports.

An exporter numbers its nodes or names them by where they stand; what survives a new export is the
name of the module that a weight belongs to. `weight_stems` finds it before constants are folded,
`name_nodes` gives every node its name and says what else a layer is called.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping

import onnx_ir as ir

from rpucc.feedback import ruled_as
from rpucc.layers import LAYER_OPS, OTHER_NAMES
from rpucc.passes.graph_writer import Names

NAMED_OPS = (*LAYER_OPS, "Einsum", "BatchNormalization", "Dropout")
"""The operators that layer rules are about."""

_TF_OPS = (
    *("Conv1D", "Conv2D", "Conv3D", "Conv2DTranspose", "conv2d_transpose", "convolution"),
    *("DepthwiseConv2dNative", "depthwise", "FusedBatchNormV3", "BiasAdd"),
)
"""What TensorFlow writes at the end of a path where PyTorch writes ONNX's operator."""

_OP_SUFFIX = re.compile(rf"/(?:{'|'.join((*NAMED_OPS, *_TF_OPS))})(?:_+\d+)*$")

_PARAMETER = re.compile(
    r"(?P<torch>.+)[./_](?:weights?|kernel|gamma|scale|bias|beta|[WwBb])"
    r"(?:_0|_quantized)?(?::0)?"
    r"|(?P<tf>.+)/[^/]+/ReadVariableOp(?:_+\d+)*(?::0)?"
)
"""A parameter's name as exporters write it: the module's, then which parameter it is."""

_MOVES = (
    *("Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast"),
    *("QuantizeLinear", "DequantizeLinear"),
)
"""What an exporter puts between a parameter and the layer that uses it."""

Stems = Mapping[ir.Node, str]
"""A layer's node -> the name of the module that its parameters belong to."""


def weight_stems(model: ir.Model) -> dict[ir.Node, str]:
    """Return the module's name for each layer whose weight, else bias, says one.

    `f.0.weight` says f.0, `net/conv/Conv2D/ReadVariableOp:0` net/conv; `onnx::Conv_19` says none.
    """
    found = {}
    for node in model.graph:
        if node.domain == "" and node.op_type in NAMED_OPS and node.op_type != "Dropout":
            stem = next(filter(None, map(_stem, _parameters(node))), None)
            if stem is not None:
                found[node] = stem
    return found


def name_nodes(model: ir.Model, stems: Stems) -> None:
    """Name every node uniquely; given names stay, apart from an exporter's decoration.

    PyTorch's "/conv1/Conv" becomes "conv1", "/Relu" becomes "Relu". An unnamed node becomes its op
    type and a count, "conv_1"; a name that is taken gets a number, "fc_2". A layer that no one
    named is called as its module (`stems`) instead. What else a layer is called, by the file or by
    these rules, is kept in the model's metadata (`rpucc.layers.OTHER_NAMES`), as far as it is
    clear which layer is meant.
    """
    written = {node: node.name or "" for node in model.graph}
    taken = _name_by_nodes(model)
    known: dict[ir.Node, list[str]] = {}
    for node in model.graph:
        if node.domain != "" or node.op_type not in NAMED_OPS:
            continue
        stem = stems.get(node, "")
        path = written[node].strip()
        known[node] = [node.name or "", path, path.lstrip("/"), stem, _torch_module(path)]
        if stem and is_generated(written[node], node.op_type) and node.name != stem:
            taken.free(node.name or "")
            node.name = taken.unique(stem)
    _note_other_names(model, known, taken)


def _name_by_nodes(model: ir.Model) -> Names:
    """Name every node by its own name and operator alone; returns the names."""
    taken = Names()
    unnamed = []
    # Dropouts last: whether a file has some changes the name of no layer.
    for node in sorted(model.graph, key=lambda node: node.op_type == "Dropout"):
        name = pleasant_name(node.name or "", node.op_type)
        if name:
            node.name = taken.unique(name)
        else:
            unnamed.append(node)
    count: Counter[str] = Counter()
    for node in unnamed:
        op = node.op_type.lower()
        while True:
            count[op] += 1
            name = f"{op}_{count[op]}"
            if name not in taken:
                break
        taken.take(name)
        node.name = name
    return taken


def pleasant_name(name: str, op_type: str) -> str:
    """Strip a leading "/" and, from what may become a layer, a trailing "/Conv" and the like.

    Nor does it end as the name of a layer's feedback matrix.

    >>> pleasant_name("/features/features.0/Conv", "Conv")
    'features/features.0'
    """
    name = name.strip()
    if op_type in NAMED_OPS:
        name = _OP_SUFFIX.sub("", name)
    return ruled_as(name.lstrip("/"))


def is_generated(name: str, op_type: str) -> bool:
    """Whether an exporter made up a node's name: none at all, a number, a path to an operator.

    >>> [is_generated(name, "Conv") for name in ("node_Conv_19", "Conv_3", "/f/f.0/Conv", "conv1")]
    [True, True, True, False]
    """
    name = name.strip()
    numbered = rf"n?\d+|node_.*|(?:p2o\.)?{re.escape(op_type)}(?:[._]+\d+)*"
    return not name or bool(re.fullmatch(numbered, name) or _OP_SUFFIX.search(name))


def _parameters(node: ir.Node) -> Iterator[str]:
    """Yield the names of a layer's constants: the weight, the bias, the bias behind a MatMul.

    Without a constant weight there are none: what is added is no bias then.
    """
    inputs = list(node.inputs)
    weights = [name for value in (*inputs[1:2], *inputs[:1]) for name in _origin(value)]
    if not weights:
        return
    yield from weights
    after = [use.node for use in node.outputs[0].uses()]
    add = after[0] if len(after) == 1 and after[0].op_type == "Add" else None
    for value in (*inputs[2:], *(add.inputs if add and node.op_type == "MatMul" else ())):
        if value is not None and len(list(value.uses())) == 1:  # optimisers merge zero biases
            yield from _origin(value)


def _origin(value: ir.Value | None) -> Iterator[str]:
    """Yield the name of the constant that a value is, or that was only moved to become it."""
    while value is not None and (producer := value.producer()) is not None:
        if producer.domain != "" or producer.op_type not in _MOVES:
            return
        value = producer.inputs[0]
    if value is not None and value.is_initializer():
        yield str(value.name)


def _stem(parameter: str) -> str | None:
    found = _PARAMETER.fullmatch(parameter)
    return ruled_as((found["torch"] or found["tf"]).lstrip("/")) if found else None


def _torch_module(path: str) -> str:
    """Write the path that PyTorch gives a node as the module's name; "" for another name.

    >>> _torch_module("/layer1/layer1.0/conv1/Conv")
    'layer1.0.conv1'
    """
    if not path.startswith("/") or not _OP_SUFFIX.search(path):
        return ""
    parts = _OP_SUFFIX.sub("", path).strip("/").split("/")
    kept = [
        part
        for part, after in zip(parts, (*parts[1:], ""), strict=True)
        if not after.startswith(f"{part}.")
    ]
    return ".".join(kept)


def _note_other_names(model: ir.Model, known: Mapping[ir.Node, list[str]], taken: Names) -> None:
    """Write what else each layer is called, and no other node, into the model's metadata."""
    count = Counter(name for names in known.values() for name in set(names))
    others = {}
    for node, names in known.items():
        found = [n for n in dict.fromkeys(names) if n and n not in taken and count[n] == 1]
        if found:
            others[node.name or ""] = found
    if others:
        model.metadata_props[OTHER_NAMES] = json.dumps(others)
