"""Batch norms: fold each into the layer before it, or leave it digital: frozen, trained, or with
statistics of the batch.

Not for what the last becomes (`batch_statistics.py`), nor for the gradients of a batch norm that
stays (`gradients/normalization.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir

from rpucc.batch_norms import Decision
from rpucc.opset.drop import DROP
from rpucc.origins.notes import note_origin, origin_of
from rpucc.origins.terms import Factor, Norm, Origin
from rpucc.origins.view import View
from rpucc.passes.base import RpuPass
from rpucc.passes.batch_norm_fates import describe
from rpucc.passes.batch_statistics import BatchStatistics, is_fresh, was_training, why_not_batch
from rpucc.passes.graph_reader import constant_of, int_of, known_shape, static_dims
from rpucc.passes.graph_writer import Emitter, drop_unused_initializers
from rpucc.passes.ties import ties_of

if TYPE_CHECKING:
    from rpucc.target.target import Target

BATCH_NORM = "rpucc.batch_norm"
"""Node metadata of a batch norm that stays: "frozen", "trained" or "batch"."""


@dataclass(frozen=True)
class FoldBatchNorm(RpuPass):
    """Fold inference batch norms into the layers before them, as the target's policy says.

    Requires: named nodes; folded constants; known shapes.
    Leaves behind: a batch norm of policy "fold" is part of the Conv, ConvTranspose, Gemm or MatMul
    before it, whose only use it was: weights scaled, bias merged (an Add where a MatMul has no
    place for one). The others stay digital, with node metadata `rpucc.batch_norm`: "trained"
    (scale and bias change in training, mean and variance are the file's), "batch" (an rpu BatchNorm
    with statistics of the minibatch, whose mode is a new graph input, `training`), or "frozen":
    nothing changes. What cannot be folded exactly stays frozen. Model metadata `rpucc.batch_norms`
    says what became of each and why; the import notes sum it up.

        before: c = Conv(x, W); y = BatchNormalization(c, scale, bias, mean, var)
        after:  y = Conv(x, conv1.folded, conv1.b)   # W · a, bias - mean · a; a = scale/√(var + ε)
    """

    target: Target
    training: bool = True

    name: ClassVar[str] = "fold_batchnorm"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Fold or mark every batch norm."""
        nodes = [node for node in model.graph if is_batch_norm(node)]
        emitter = Emitter(model)
        statistics = BatchStatistics(emitter)
        as_inference = [node.name or "" for node in nodes if was_training(node)]
        unmeasured = [node.name or "" for node in nodes if self._is_unmeasured(node)]
        decisions = [self._decide(emitter, statistics, node) for node in nodes]
        if decisions:
            drop_unused_initializers(model.graph)
            describe(model, decisions, as_inference, unmeasured)
        return ir.passes.PassResult(model, modified=bool(decisions))

    def _decide(self, emitter: Emitter, statistics: BatchStatistics, node: ir.Node) -> Decision:
        name = node.name or ""
        policy, why = self._policy(node), ""
        if policy == "batch" and self.training:
            why = why_not_batch(node) or self._other_policy_beside(node) or ""
            if not why:
                statistics.give(node).metadata_props[BATCH_NORM] = "batch"
                return Decision(name, "batch")
        if policy == "fold":
            why = why_not_foldable(node) or ""
            if not why:
                layer = _Fold(emitter, node).run()
                return Decision(name, "folded", into=layer.name or "")
        trained = policy == "train" and self.training
        if trained and _constants(node) is None:
            trained, why = False, "its scale, bias, mean or variance is computed"
        node.metadata_props[BATCH_NORM] = "trained" if trained else "frozen"
        return Decision(name, "trained" if trained else "frozen", why=why)

    def _policy(self, node: ir.Node) -> str:
        """Return the policy of a batch norm, with what "auto" means for it.

        Statistics that nobody has measured are those of the batch, where they can be.
        """
        policy: str = self.target.for_layer(node.name or "").batch_norm.policy
        if policy != "auto":
            return policy
        return "batch" if self._is_unmeasured(node) and why_not_batch(node) is None else "fold"

    def _is_unmeasured(self, node: ir.Node) -> bool:
        """Whether the policy is "auto" in training, and the file's statistics were not measured."""
        auto = self.target.for_layer(node.name or "").batch_norm.policy == "auto"
        return auto and self.training and (is_fresh(node) or was_training(node))

    def _other_policy_beside(self, node: ir.Node) -> str | None:
        """Return which batch norm would keep numbers that this one, which shares them, moves."""
        uses = (use for value in node.inputs[1:5] if value is not None for use in value.uses())
        for other in (use.node for use in uses if is_batch_norm(use.node)):
            if self._policy(other) != "batch":
                return f"{other.name!r}, which has its numbers too, has another policy"
        return None


def is_batch_norm(node: ir.Node) -> bool:
    """Whether the node is a standard BatchNormalization."""
    return node.domain in ("", "ai.onnx") and node.op_type == "BatchNormalization"


# ---------------------------------------------------------------- can it be folded


def why_not_foldable(node: ir.Node) -> str | None:
    """Return why a batch norm cannot be part of a layer before it; None where it can."""
    x = node.inputs[0]
    before = x.producer() if x is not None else None
    if _constants(node) is None:
        return "its scale, bias, mean or variance is computed"
    if before is None:
        return "it acts on the network's input"
    layer = _layer_before(node)
    if layer is None:
        op = "Dropout" if before.op_type == DROP.name else before.op_type
        return f"it follows {op}, not a layer with constant weights"
    for each in (layer, before):
        if each.outputs[0].is_graph_output() or len(list(each.outputs[0].uses())) != 1:
            return f"the result of {each.name!r} has other uses"
    weight = layer.inputs[1]
    assert weight is not None
    if len(list(weight.uses())) != 1 or ties_of(weight):
        return f"{layer.name!r} shares its weight with another layer"
    if layer.op_type == "MatMul" and known_shape(layer.outputs[0]).rank() != 2:
        return f"the channels of MatMul {layer.name!r} are on another axis"
    return _computed(layer)


def _computed(layer: ir.Node) -> str | None:
    """Return why a layer's own bias cannot take part, None where it can."""
    if layer.op_type == "MatMul" or len(layer.inputs) < 3 or layer.inputs[2] is None:
        return None
    constant = constant_of(layer.inputs[2]) is not None
    return None if constant else f"the bias of {layer.name!r} is computed"


def _layer_before(node: ir.Node) -> ir.Node | None:
    """Return the layer whose result the batch norm gets, directly or through a constant Add."""
    x = node.inputs[0]
    before = x.producer() if x is not None else None
    if before is not None and before.op_type == "Add":
        terms = [value for value in before.inputs if constant_of(value) is None]
        inner = terms[0] if len(terms) == 1 else None
        if inner is None or inner.shape != before.outputs[0].shape:
            return None
        before = inner.producer()
    if before is None or before.domain or before.op_type not in SCALED:
        return None
    weight = constant_of(before.inputs[1])
    if weight is None or (before.op_type in ("Gemm", "MatMul") and weight.ndim != 2):
        return None
    return before


@dataclass(frozen=True)
class _Affine:
    """y = a · x + shift, one number a channel, in float64."""

    a: np.ndarray
    shift: np.ndarray


def _constants(node: ir.Node) -> _Affine | None:
    """Return a batch norm as y = a · x + shift; None where it is not constant."""
    arrays = [constant_of(value) for value in node.inputs[1:5]]
    if any(array is None for array in arrays):
        return None
    scale, bias, mean, var = (np.asarray(array, np.float64) for array in arrays)
    epsilon = node.attributes.get_float("epsilon", 1e-5)
    a = scale / np.sqrt(var + epsilon)
    return _Affine(a, bias - mean * a)


def _norm(node: ir.Node) -> Norm | None:
    """Return what a batch norm multiplies by, where its numbers are constants of the file."""
    names = []
    for value in (node.inputs[1], node.inputs[4]):
        origin = origin_of(value)
        (term, *more) = origin.terms if origin is not None else (None,)
        if term is None or more or term.factors or term.view != View.whole(term.dims):
            return None
        names.append(term.source)
    return Norm(names[0], names[1], node.attributes.get_float("epsilon", 1e-5))


# ---------------------------------------------------------------- folding


def _scale_conv(node: ir.Node, weight: np.ndarray, a: np.ndarray) -> np.ndarray:
    """[R, C/group, *kernel]: the output channels come first, whatever the groups."""
    return np.asarray(weight * a.reshape(-1, *[1] * (weight.ndim - 1)))


def _scale_transposed(node: ir.Node, weight: np.ndarray, a: np.ndarray) -> np.ndarray:
    """[C, R/group, *kernel]: output channel g · R/group + j belongs to group g's inputs."""
    group = int_of(node, "group", 1)
    C, R, *kernel = weight.shape
    grouped = weight.reshape(group, C // group, R, *kernel)
    scaled = grouped * a.reshape(group, 1, R, *[1] * len(kernel))
    return np.asarray(scaled.reshape(weight.shape))


def _scale_matrix(node: ir.Node, weight: np.ndarray, a: np.ndarray) -> np.ndarray:
    """[C, R], or [R, C] where transB is set."""
    return np.asarray(weight * (a[:, np.newaxis] if int_of(node, "transB", 0) else a))


SCALED: Mapping[str, Callable[[ir.Node, np.ndarray, np.ndarray], np.ndarray]] = {
    "Conv": _scale_conv,
    "ConvTranspose": _scale_transposed,
    "Gemm": _scale_matrix,
    "MatMul": _scale_matrix,
}
"""The layers that a batch norm can be folded into, and how each scales its output channels."""


def layer_factor(node: ir.Node, a: np.ndarray, norm: Norm | None = None) -> Factor | None:
    """Return what scaling a layer's output channels by `a` [R] does to its weight.

    norm: where `a` is what this batch norm multiplies by.
    """
    weight = node.inputs[1]
    assert weight is not None
    dims = static_dims(weight)
    ones = np.ones([*dims[:2], *[1] * (len(dims) - 2)])
    return Factor.of(SCALED[node.op_type](node, ones, np.arange(len(a)) if norm else a), norm)


class _Fold:
    """The folding of one batch norm that can be folded."""

    def __init__(self, emitter: Emitter, node: ir.Node) -> None:
        layer, affine = _layer_before(node), _constants(node)
        assert layer is not None
        assert affine is not None
        self.emitter, self.node, self.layer, self.affine = emitter, node, layer, affine
        self.norm = _norm(node)
        emitter.before = node

    def run(self) -> ir.Node:
        """Scale the weights, merge the shift, take the batch norm out; return the layer."""
        weight = constant_of(self.layer.inputs[1])
        assert weight is not None
        scaled = SCALED[self.layer.op_type](self.layer, weight, self.affine.a)
        folded = self._new("folded", scaled, weight.dtype)
        old = origin_of(self.layer.inputs[1])
        note_origin(folded, old and old.times(layer_factor(self.layer, self.affine.a, self.norm)))
        self.layer.replace_input_with(1, folded)
        x = self.node.inputs[0]
        assert x is not None
        before = x.producer()
        assert before is not None
        if before is not self.layer or self.layer.op_type == "MatMul":
            self.layer.outputs[0].name = self.emitter.unique(f"{self.layer.name}.scaled")
        if before is not self.layer:
            self._merge_bias(self.layer, shift=False)
            self._merge_add(before)
        elif self.layer.op_type == "MatMul":
            shift = self._new("b", self.affine.shift, weight.dtype)
            note_origin(shift, self._shifted(None))
            x = self.emitter.op("Add", x, shift, name=f"{self.layer.name}.bias")
        else:
            self._merge_bias(self.layer, shift=True)
        self._take_out(x)
        return self.layer

    def _new(self, suffix: str, array: np.ndarray, dtype: np.dtype) -> ir.Value:
        return self.emitter.initializer(f"{self.layer.name}.{suffix}", array.astype(dtype))

    def _merge_bias(self, layer: ir.Node, *, shift: bool) -> None:
        """Scale the layer's own bias, and add the shift unless a following Add takes it."""
        old = constant_of(layer.inputs[2]) if len(layer.inputs) > 2 else None
        if layer.op_type == "MatMul" or (old is None and not shift):
            return
        beta = layer.attributes.get_float("beta", 1.0) if layer.op_type == "Gemm" else 1.0
        bias = np.zeros(()) if old is None else beta * old.astype(np.float64) * self.affine.a
        layer.attributes.pop("beta", None)
        if len(layer.inputs) < 3:
            layer.resize_inputs(3)
        total = bias + self.affine.shift if shift else bias
        new = self._new("b", total, np.dtype(np.float32))
        before = None if old is None else self._scaled(origin_of(layer.inputs[2]), beta)
        if old is None or before is not None:
            note_origin(new, self._shifted(before) if shift else before)
        layer.replace_input_with(2, new)

    def _merge_add(self, add: ir.Node) -> None:
        """Scale the constant that an Add behind the layer adds, and add the shift to it."""
        index = 0 if constant_of(add.inputs[0]) is not None else 1
        old = constant_of(add.inputs[index])
        assert old is not None
        axes = known_shape(add.outputs[0]).rank() - 2
        a, shift = (v.reshape(-1, *[1] * axes) for v in (self.affine.a, self.affine.shift))
        moved = old * a + shift  # of a single number, one a channel
        new = self._new("b", moved, old.dtype)
        before = self._scaled(origin_of(add.inputs[index]), 1.0)
        total = None if before is None else self._shifted(before)
        note_origin(new, total and total.reshaped(moved.shape))
        add.replace_input_with(index, new)

    # What the new constants come from ------------------------------------------------------------

    def _scaled(self, bias: Origin | None, beta: float) -> Origin | None:
        """beta · a · bias, [R]."""
        wide = bias and bias.reshaped(self.affine.a.shape)
        scaled = wide and (wide if beta == 1.0 else wide.times(Factor.of(np.array([beta]))))
        return scaled and scaled.times(self._channels())

    def _shifted(self, before: Origin | None) -> Origin | None:
        """before + bias - mean · a: what the batch norm adds is what learns."""
        bias, mean = (origin_of(self.node.inputs[index]) for index in (2, 3))
        taken = mean and mean.times(Factor.of(np.array([-1.0])))
        taken = taken and taken.times(self._channels())
        if bias is None or taken is None:
            return None
        # The file may let several batch norms share it: each has one of its own from here on.
        own = replace(bias.terms[0], uses=((str(self.node.outputs[0].name), 2),))
        shift = Origin((own, *bias.terms[1:])).plus(taken)
        return shift if before is None else before.plus(shift, learns=True)

    def _channels(self) -> Factor | None:
        """A, [R]."""
        numbers = self.affine.a if self.norm is None else np.arange(len(self.affine.a))
        return Factor.of(numbers, self.norm)

    def _take_out(self, x: ir.Value) -> None:
        """Let `x` be the batch norm's result, name included."""
        out = self.node.outputs[0]
        name, x.shape, x.type = out.name, out.shape, out.type
        out.replace_all_uses_with(x, replace_graph_outputs=True)
        self.emitter.graph.remove(self.node, safe=True)
        x.name = name
