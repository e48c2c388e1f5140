"""Choose which layers live on arrays, and bring their biases home.

Not for the lowering itself: unroll does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.errors import UnsupportedError
from rpucc.layers import CONVOLUTIONS, LAYER_OPS
from rpucc.passes.base import RpuPass
from rpucc.passes.emit import (
    ANALOG,
    LAYER,
    Emitter,
    constant_of,
    drop_unused_initializers,
    int_of,
    static_dims,
)

if TYPE_CHECKING:
    from rpucc.target import Target


@dataclass(frozen=True)
class SelectAnalog(RpuPass):
    """Mark each Conv, ConvTranspose, Gemm and MatMul with constant weights as analog or digital.

    Requires: named nodes; folded constants; known shapes.
    Leaves behind: layer nodes with metadata `rpucc.layer` = their name and `rpucc.analog` = "1"
    or "0". A following Add of one constant per output channel has become the layer's bias (for a
    MatMul, which has no place for one, the Add stays and carries the same `rpucc.layer`). A
    layer's Gemm has alpha = beta = 1 and transA = 0.

        before: c = Conv(x, W)            (node conv1); y = Add(c, b [R, 1, 1])
        after:  y = Conv(x, W, conv1.b)   (node conv1, rpucc.layer = conv1, rpucc.analog = 1)
    """

    target: Target

    name: ClassVar[str] = "select_analog"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Mark the layers; a layer that cannot be what the target asks raises UnsupportedError."""
        layers = [node for node in model.graph if is_candidate(node)]
        for node in layers:
            if node.op_type == "Gemm":
                _normalise_gemm(model, node)
            _adopt_bias(model, node)
            analog = bool(self.target.for_layer(node.name or "").analog)
            for member in (node, following_bias(node)):
                if member is not None:
                    member.metadata_props[LAYER] = node.name or ""
                    member.metadata_props[ANALOG] = "1" if analog else "0"
        drop_unused_initializers(model.graph)
        return ir.passes.PassResult(model, modified=bool(layers))


def is_candidate(node: ir.Node) -> bool:
    """Whether the node multiplies an activation by a constant weight (matrix or kernel)."""
    if node.domain not in ("", "ai.onnx") or node.op_type not in LAYER_OPS:
        return False
    weight = node.inputs[1]
    if weight is None or weight.shape is None or constant_of(weight) is None:
        return False
    rank = weight.shape.rank()
    fits = rank >= 3 if node.op_type in CONVOLUTIONS else rank == 2
    return fits and constant_of(node.inputs[0]) is None


def following_bias(node: ir.Node) -> ir.Node | None:
    """Return the Add of a per-channel constant that is the only use of a MatMul's result."""
    if node.op_type != "MatMul":
        return None
    add = _only_consumer(node)
    return add if add is not None and _bias_of(add, node) is not None else None


def bias_array(node: ir.Node) -> np.ndarray | None:
    """Return a layer's bias [R], or None where it has none."""
    if node.op_type == "MatMul":
        add = following_bias(node)
        return None if add is None else _bias_of(add, node)
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
    """Return R, the outputs of a layer."""
    weight = node.inputs[1]
    assert weight is not None
    shape = static_dims(weight)
    if node.op_type == "ConvTranspose":
        return shape[1] * int_of(node, "group", 1)
    rows_first = node.op_type == "Conv" or int_of(node, "transB", 0)
    return shape[0] if rows_first else shape[1]


def _only_consumer(node: ir.Node) -> ir.Node | None:
    value = node.outputs[0]
    uses = list(value.uses())
    return uses[0].node if len(uses) == 1 and not value.is_graph_output() else None


def _bias_of(add: ir.Node, layer: ir.Node) -> np.ndarray | None:
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
    return constant.reshape(R) if padded == expected else None


def _adopt_bias(model: ir.Model, node: ir.Node) -> None:
    """Merge a following Add of a per-channel constant into the bias of a Conv or Gemm."""
    add = _only_consumer(node)
    if node.op_type == "MatMul" or add is None:
        return
    extra = _bias_of(add, node)
    if extra is None:
        return
    bias = bias_array(node)
    total = extra if bias is None else bias + extra
    emitter = Emitter(model, before=node)
    _set_bias(node, emitter.initializer(f"{node.name}.b", total))
    result, out = node.outputs[0], add.outputs[0]
    name = out.name
    out.replace_all_uses_with(result, replace_graph_outputs=True)
    model.graph.remove(add, safe=True)
    result.name = name


def _set_bias(node: ir.Node, bias: ir.Value) -> None:
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, bias)


def _normalise_gemm(model: ir.Model, node: ir.Node) -> None:
    """Fold alpha and beta into the constants; transpose the input in the graph for transA."""
    emitter = Emitter(model, before=node, scope=node.name or "")
    alpha = node.attributes.get_float("alpha", 1.0)
    beta = node.attributes.get_float("beta", 1.0)
    weight = constant_of(node.inputs[1])
    assert weight is not None
    if alpha != 1.0:
        scaled = (weight * alpha).astype(weight.dtype)
        node.replace_input_with(1, emitter.initializer(f"{node.name}.weight", scaled))
    bias = bias_array(node)
    if bias is not None and beta != 1.0:
        _set_bias(node, emitter.initializer(f"{node.name}.b", (bias * beta).astype(bias.dtype)))
    if int_of(node, "transA", 0):
        x = node.inputs[0]
        assert x is not None
        node.replace_input_with(0, emitter.transpose(x, (1, 0)))
    for key in ("alpha", "beta", "transA"):
        node.attributes.pop(key, None)
