"""The bias of a layer as the model has it: an input of its own, or an Add behind a MatMul.

Not for where it comes to live: that is `bias.py`.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import CONVOLUTIONS
from rpucc.passes.graph_reader import constant_of, int_of, known_shape, static_dims


def following_bias(node: ir.Node) -> ir.Node | None:
    """Return the Add of a per-channel constant that is the only use of a MatMul's result."""
    if node.op_type != "MatMul":
        return None
    add = only_consumer(node)
    return add if add is not None and added_bias(add, node) is not None else None


def bias_value(node: ir.Node) -> ir.Value | None:
    """Return the initializer of a layer's bias, or None where it has none."""
    if node.op_type != "MatMul":
        return node.inputs[2] if len(node.inputs) > 2 else None
    add = following_bias(node)
    if add is None:
        return None
    return next(value for value in add.inputs if value is not node.outputs[0])


def bias_array(node: ir.Node) -> np.ndarray | None:
    """Return a layer's bias [R], or None where it has none."""
    if node.op_type == "MatMul":
        add = following_bias(node)
        return None if add is None else added_bias(add, node)
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return None
    bias = constant_of(node.inputs[2])
    if bias is None:
        raise UnsupportedError(
            f"node {node.name!r} ({node.op_type}): its bias {node.inputs[2].name!r} is computed, "
            "not constant; fold constants first, or add it with an Add node"
        )
    R = rows_of(node)
    if bias.size == R and bias.shape[-1:] == (R,):
        return bias.reshape(R)
    if bias.size == 1:
        return np.full(R, bias.reshape(()), bias.dtype)
    raise UnsupportedError(
        f"node {node.name!r} ({node.op_type}): its bias has shape {list(bias.shape)}, expected "
        f"one number an output ({R}); add it with an Add node instead"
    )


def rows_of(node: ir.Node) -> int:
    """Return R, the outputs of a layer, of all groups together."""
    weight = node.inputs[1]
    assert weight is not None
    shape = static_dims(weight)
    if node.op_type == "MatMul" and len(shape) == 3:
        return shape[0] * shape[2]
    if node.op_type == "ConvTranspose":
        return shape[1] * int_of(node, "group", 1)
    rows_first = node.op_type == "Conv" or int_of(node, "transB", 0)
    return shape[0] if rows_first else shape[1]


def only_consumer(node: ir.Node) -> ir.Node | None:
    """Return the node that alone uses a node's result, or None."""
    value = node.outputs[0]
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def added_bias(add: ir.Node, layer: ir.Node) -> np.ndarray | None:
    """Return the constant [R] that `add` adds to each output channel of `layer`, if it does."""
    result = layer.outputs[0]
    if add.op_type != "Add" or result.shape is None:
        return None
    others = [value for value in add.inputs if value is not result]
    constant = constant_of(others[0]) if len(others) == 1 else None
    if constant is None:
        return None
    R, rank = rows_of(layer), result.shape.rank()
    axis = 1 if layer.op_type in CONVOLUTIONS else rank - 1
    if constant.ndim > rank or constant.size != R:
        return None
    padded = (1,) * (rank - constant.ndim) + constant.shape
    expected = tuple(R if i == axis else 1 for i in range(rank))
    weight = layer.inputs[1]
    if layer.op_type == "MatMul" and weight is not None and known_shape(weight).rank() == 3:
        groups, _, outputs = static_dims(weight)  # x [N, G, P, K]
        expected = (1, groups, 1, outputs)
    return constant.reshape(R) if padded == expected else None
