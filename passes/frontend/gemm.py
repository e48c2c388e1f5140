"""Take apart each Gemm whose third input is no bias.

A layer's bias is one constant a column. ONNX lets a Gemm add anything that broadcasts: a matrix, a
column, an activation (PyTorch's addmm). That becomes an Add of its own.
"""

from __future__ import annotations

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
    product = ir.Node("", "Gemm", node.inputs[:2], num_outputs=1, name=node.name)
    for name in ("alpha", "transA", "transB"):
        if name in node.attributes:
            product.attributes.add(node.attributes[name])
    product.outputs[0].name = f"{result.name}.product"
    new = [product]
    beta = node.attributes.get_float("beta", 1.0)
    if beta != 1.0:
        factor = add_initializer(model, f"{result.name}.beta", np.float32(beta))
        scaled = ir.Node("", "Mul", [term, factor], num_outputs=1)
        scaled.outputs[0].name = f"{result.name}.scaled"
        new.append(scaled)
        term = scaled.outputs[0]
    total = ir.Node("", "Add", [product.outputs[0], term], num_outputs=1)
    new.append(total)
    model.graph.insert_before(node, new)
    name, result.name = result.name, None
    total.outputs[0].name = name
    total.outputs[0].type, total.outputs[0].shape = result.type, result.shape
    result.replace_all_uses_with(total.outputs[0], replace_graph_outputs=True)
    model.graph.remove(node, safe=True)
