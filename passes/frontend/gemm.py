"""Take apart each Gemm whose third input is no bias.

A layer's bias is one constant a column. ONNX lets a Gemm add anything that broadcasts: a matrix, a
column, an activation (PyTorch's addmm). That becomes an Add of its own.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rpucc.passes.frontend.constants import add_initializer, constant, value_names
from rpucc.passes.graph_writer import Names


def split_gemm_sums(model: ir.Model) -> None:
    """Write `Gemm(x, W, C)` as `Gemm(x, W) + beta·C` where W is constant and C is not a bias."""
    names = value_names(model)
    for node in list(model.graph):
        if node.domain == "" and node.op_type == "Gemm" and _adds_no_bias(node):
            _split(model, node, names)


def _adds_no_bias(node: ir.Node) -> bool:
    """Whether a layer's third input is computed, or differs from row to row."""
    if constant(node.inputs[1]) is None or len(node.inputs) < 3 or node.inputs[2] is None:
        return False
    term = constant(node.inputs[2])
    return term is None or (term.ndim == 2 and term.shape[0] > 1)


def _split(model: ir.Model, node: ir.Node, names: Names) -> None:
    """Leave the product to the node, and let what follows use the sum under the old name."""
    product, term = node.outputs[0], node.inputs[2]
    stem, beta = str(product.name), node.attributes.get_float("beta", 1.0)
    node.resize_inputs(2)
    node.attributes.pop("beta", None)
    total = ir.Value(name=None, type=product.type, shape=product.shape)
    product.replace_all_uses_with(total, replace_graph_outputs=True)
    product.name, total.name = f"{stem}.product", stem
    after = [ir.node("Add", [product, term], outputs=[total])]
    if beta != 1.0:
        factor = add_initializer(model, names.unique(f"{stem}.beta"), np.array(beta, np.float32))
        scaled = ir.Value(name=f"{stem}.scaled")
        after = [ir.node("Mul", [term, factor], outputs=[scaled]), *after]
        after[-1].replace_input_with(1, scaled)
    model.graph.insert_after(node, after)
