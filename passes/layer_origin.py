"""Where the matrix and the bias of a layer come from, as the layer's node has them.

Not for what an origin is: `rpucc/origins`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx_ir as ir

from rpucc.origins.matrix import MatrixOrigin
from rpucc.origins.notes import origin_of
from rpucc.passes.layer_bias import bias_array, bias_value
from rpucc.passes.layer_matrix import rows_first

if TYPE_CHECKING:
    from rpucc.origins.terms import Origin
    from rpucc.passes.layer_matrix import LayerMatrix


def matrix_origin(
    node: ir.Node, matrix: LayerMatrix, *, with_bias: bool, devices: int, copies: int
) -> MatrixOrigin | None:
    """Return where `matrix.values` of a layer comes from; None where nobody knows.

    with_bias: whether the bias is its last column.
    """
    weight, bias = origin_of(node.inputs[1]), bias_origin(node)
    if weight is None or (with_bias and bias is None):
        return None
    return MatrixOrigin(
        weight,
        node.op_type,
        bias if with_bias else None,
        groups=matrix.groups,
        rows_first=rows_first(node),
        devices=devices,
        copies=copies,
    )


def bias_origin(node: ir.Node) -> Origin | None:
    """Return where the bias [G·R] of a layer comes from, if it has one."""
    bias = bias_array(node)
    origin = None if bias is None else origin_of(bias_value(node))
    return None if bias is None or origin is None else origin.reshaped(bias.shape)
