"""Choose which layers live on arrays, and bring their biases home.

Not for the lowering itself: unroll does that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.errors import TargetError
from rpucc.layers import CONVOLUTIONS, LAYER_OPS, NO_LAYER
from rpucc.origins.notes import note_origin, origin_of
from rpucc.origins.terms import Factor, Origin
from rpucc.passes.base import RpuPass
from rpucc.passes.graph_reader import ANALOG, LAYER, constant_of, int_of
from rpucc.passes.graph_writer import Emitter, drop_unused_initializers
from rpucc.passes.layer_bias import (
    added_bias,
    bias_array,
    bias_value,
    following_bias,
    only_consumer,
)
from rpucc.passes.shared_matrix import note_places, owner_of, share_matrices
from rpucc.passes.ties import loosen_ties
from rpucc.patterns import matches

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class SelectAnalog(RpuPass):
    """Mark each Conv, ConvTranspose, Gemm and MatMul with constant weights as analog or digital.

    Requires: named nodes; folded constants; known shapes; weights on the right
    (normalise_products).
    Leaves behind: layer nodes with metadata `rpucc.layer` = their name and `rpucc.analog` = "1"
    or "0". A following Add of one constant per output channel has become the layer's bias (for a
    MatMul, which has no place for one, the Add stays and carries the same `rpucc.layer`). A
    layer's Gemm has alpha = beta = 1 and transA = 0. Layers that use one matrix of the file say so
    (`shared_matrix.py`).

        before: c = Conv(x, W)            (node conv1); y = Add(c, b [R, 1, 1])
        after:  y = Conv(x, W, conv1.b)   (node conv1, rpucc.layer = conv1, rpucc.analog = 1)
    """

    target: Target

    name: ClassVar[str] = "select_analog"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Mark the layers.

        A layer that cannot be what the target asks raises UnsupportedError or TargetError.
        """
        layers = [node for node in model.graph if is_candidate(node)]
        biases: Biases = {}
        emitter = Emitter(model)
        for node in layers:
            emitter.before, emitter.scope = node, node.name or ""
            if node.op_type == "Gemm":
                _normalise_gemm(emitter, node, biases)
            _adopt_bias(emitter, node, biases)
        share_matrices(layers)
        note_places(model, layers)
        for node in layers:
            self._check_rules(node)
            analog = bool(self.target.for_layer(owner_of(node)).analog)
            for member in (node, following_bias(node)):
                if member is not None:
                    member.metadata_props[LAYER] = node.name or ""
                    member.metadata_props[ANALOG] = "1" if analog else "0"
        drop_unused_initializers(model.graph)
        return ir.passes.PassResult(model, modified=bool(layers))

    def _check_rules(self, node: ir.Node) -> None:
        """Hold that no rule is about a layer alone whose matrix is another one's."""
        name, owner = node.name or "", owner_of(node)
        for rule in self.target.layers:
            if matches(rule.match, name) and not matches(rule.match, owner):
                raise TargetError(
                    f"target {self.target.name}: [[layer]] match = {rule.match!r}: {name!r} reads "
                    f"the matrix of {owner!r}, whose settings hold for both; give the rule for "
                    f"{owner!r}"
                )


def is_candidate(node: ir.Node) -> bool:
    """Whether the node multiplies an activation by a constant weight (matrix or kernel).

    A MatMul may have a matrix a group: x [N, G, P, K], weight [G, K, M].
    """
    if node.domain not in ("", "ai.onnx") or node.op_type not in LAYER_OPS:
        return False
    weight = node.inputs[1]
    if weight is None or weight.shape is None or constant_of(weight) is None:
        return False
    if NO_LAYER in node.metadata_props or constant_of(node.inputs[0]) is not None:
        return False
    rank = weight.shape.rank()
    if node.op_type in CONVOLUTIONS:
        return rank >= 3
    return rank == 2 or (node.op_type == "MatMul" and rank == 3)


Biases = dict[tuple[object, ...], ir.Value]
"""New biases by what they are made of: layers that have that in common keep a bias in common."""


def _adopt_bias(emitter: Emitter, node: ir.Node, biases: Biases) -> None:
    """Merge a following Add of a per-channel constant into the bias of a Conv or Gemm."""
    add = only_consumer(node)
    if node.op_type == "MatMul" or add is None:
        return
    extra = added_bias(add, node)
    if extra is None:
        return
    bias = bias_array(node)
    total = extra if bias is None else bias + extra
    parts = (bias_value(node), *(v for v in add.inputs if v is not node.outputs[0]))
    if parts not in biases:
        biases[parts] = emitter.initializer(f"{node.name}.b", total)
        note_origin(biases[parts], _sum_origin(parts, total.shape))
    _set_bias(node, biases[parts])
    result, out = node.outputs[0], add.outputs[0]
    name = out.name
    out.replace_all_uses_with(result, replace_graph_outputs=True)
    emitter.graph.remove(add, safe=True)
    result.name = name


def _sum_origin(parts: Sequence[ir.Value | None], shape: Sequence[int]) -> Origin | None:
    """Return what the sum of constants, each as numbers of this shape, comes from."""
    total: Origin | None = None
    for value in parts:
        if value is None:
            continue
        origin = origin_of(value)
        wide = None if origin is None else origin.reshaped(shape)
        if wide is None:
            return None
        total = wide if total is None else total.plus(wide)
    return total


def _set_bias(node: ir.Node, bias: ir.Value) -> None:
    if len(node.inputs) < 3:
        node.resize_inputs(3)
    node.replace_input_with(2, bias)


def _normalise_gemm(emitter: Emitter, node: ir.Node, biases: Biases) -> None:
    """Fold alpha and beta into the constants; transpose the input in the graph for transA."""
    alpha = node.attributes.get_float("alpha", 1.0)
    beta = node.attributes.get_float("beta", 1.0)
    weight = constant_of(node.inputs[1])
    assert weight is not None
    if alpha != 1.0:
        scaled = emitter.initializer(f"{node.name}.weight", (weight * alpha).astype(weight.dtype))
        old = node.inputs[1]
        assert old is not None
        loosen_ties(old, scaled)
        origin = origin_of(old)
        scalar = Factor.of(np.full((1,) * weight.ndim, alpha))
        note_origin(scaled, None if origin is None else origin.times(scalar))
        node.replace_input_with(1, scaled)
    bias = bias_array(node)
    if bias is not None and beta != 1.0:
        parts = (bias_value(node), beta)
        if parts not in biases:
            times_beta = (bias * beta).astype(bias.dtype)
            biases[parts] = emitter.initializer(f"{node.name}.b", times_beta)
            wide = _sum_origin((bias_value(node),), bias.shape)
            note_origin(biases[parts], wide and wide.times(Factor.of(np.array([beta]))))
        _set_bias(node, biases[parts])
    if int_of(node, "transA", 0):
        x = node.inputs[0]
        assert x is not None
        node.replace_input_with(0, emitter.transpose(x, (1, 0)))
    for key in ("alpha", "beta", "transA"):
        node.attributes.pop(key, None)
