"""Stable, pleasant, unique node names: they become the layers' names in plans and reports."""

from __future__ import annotations

import re
from collections import Counter

import onnx_ir as ir

from rpucc.layers import LAYER_OPS
from rpucc.passes.emit import unique_name

_OP_SUFFIX = re.compile(rf"/(?:{'|'.join(LAYER_OPS)})(?:_\d+)?$")


def name_nodes(model: ir.Model) -> None:
    """Name every node uniquely; given names stay, apart from an exporter's decoration.

    PyTorch's "/conv1/Conv" becomes "conv1", "/Relu" becomes "Relu". An unnamed node becomes its op
    type and a count, "conv_1"; a name that is taken gets a number, "fc_2".
    """
    taken: set[str] = set()
    unnamed = []
    for node in model.graph:
        name = pleasant_name(node.name or "", node.op_type)
        if name:
            node.name = unique_name(name, taken)
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
        taken.add(name)
        node.name = name


def pleasant_name(name: str, op_type: str) -> str:
    """Strip a leading "/" and, from what may become a layer, a trailing "/Conv" and the like.

    >>> pleasant_name("/features/features.0/Conv", "Conv")
    'features/features.0'
    """
    name = name.strip()
    if op_type in LAYER_OPS:
        name = _OP_SUFFIX.sub("", name)
    return name.lstrip("/")
