"""Take apart each Gemm whose third input is no bias.

A layer's bias is one constant a column. ONNX lets a Gemm add anything that broadcasts: a matrix, a
column, an activation (PyTorch's addmm). That becomes an Add of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from rpucc.passes.frontend.constants import add_initializer, constant


def split_gemm_sums(model: ir.Model) -> None:
    """Write `Gemm(x, W, C)` as `Gemm(x, W) + beta·C` where W is constant and C is not a bias."""
    for node in list(model.graph):
        if node.domain == "" and node.op_type == "Gemm" and _adds_no_bias(node):
            _split(model, node)


def _adds_no_bias(node: ir.Node) -> bool:
    """Whether a layer's third input is computed, or differs from row to row."""
    if constant(node.inputs[1]) is None or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    term = constant(node.inputs[2])
    return term is None or (term.ndim == 2 and term.shape[0] > 1)


def _split(model: ir.Model, node: ir.Node) -> None:
    result, term = node.outputs[0], node.inputs[2]
    stem = str(result.name)
    product = _node("Gemm", node.inputs[:2], f"{stem}.product")
    product.name = node.name
    for key in ("alpha", "transA", "transB"):
        if key in node.attributes:
            product.attributes.add(node.attributes[key])
    new = [product]
    beta = node.attributes.get_float("beta", 1.0)
    if beta != 1.0:
        factor = add_initializer(model, f"{stem}.beta", np.array(beta, np.float32))
        new.append(_node("Mul", [term, factor], f"{stem}.scaled"))
        term = new[-1].outputs[0]
    new.append(_node("Add", [product.outputs[0], term], None))
    model.graph.insert_before(node, new)
    total = new[-1].outputs[0]
    total.type, total.shape = result.type, result.shape
    result.name, total.name = None, stem  # a graph output keeps its name
    result.replace_all_uses_with(total, replace_graph_outputs=True)
    model.graph.remove(node, safe=True)


def _node(op_type: str, inputs: Sequence[ir.Value | None], output: str | None) -> ir.Node:
    node = ir.Node("", op_type, inputs, num_outputs=1)
    node.outputs[0].name = output
    return node
