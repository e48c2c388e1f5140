"""Move factors from one layer's weights into the next layer's, where both can hold them better.

A batch norm that is folded into a convolution leaves channels of very different sizes behind: rows
that no device can hold, and outputs of which the small ones drown in the next read's noise. Between
layers where only ReLU, pooling and the like lie, a factor can be taken from a channel's weights and
given to the weights that multiply it, and the network computes what it did. Source: Nagel, van
Baalen, Blankevoort & Welling 2019 (arXiv 1906.04721), cross-layer equalization; here only as far as
weights do not fit their devices. Not for what cannot be moved on: `scale_weights` does that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.layers import CONVOLUTIONS, EQUALISED
from rpucc.origins.notes import note_origin, origin_of
from rpucc.origins.terms import Factor
from rpucc.passes.base import RpuPass
from rpucc.passes.fold_batchnorm import SCALED, layer_factor
from rpucc.passes.graph_reader import ANALOG, LAYER, constant_of, int_of, known_shape
from rpucc.passes.graph_writer import Emitter, drop_unused_initializers
from rpucc.passes.layer_bias import following_bias
from rpucc.passes.layer_matrix import LayerMatrix
from rpucc.passes.notes import add_notes, listed
from rpucc.passes.ties import ties_of
from rpucc.passes.weight_scales import Scaling, WeightBounds, unbounded

if TYPE_CHECKING:
    from rpucc.target.target import Target

MOST = 2.0**20
"""The largest factor: along a chain they multiply, until float32 holds neither side."""
Factors = NDArray[np.float64]
"""What a value is divided by: [1, ..] in its rank, 1 along axes on which it is the same."""


@dataclass(frozen=True)
class Equalise(RpuPass):
    """Divide channels whose weights do not fit their devices; multiply the weights behind them.

    Requires: select_analog's marks; known shapes.
    Leaves behind: layers whose rows fit, wherever every path from their outputs leads to layers
    through operators f with f(a x) = a f(x) for a > 0 alone, marked `rpucc.equalised`; all others
    are as they were. The values between, which are divided, have new names. No operator is added.

        before: y = Relu(Conv(x, W)); z = Conv(y, V)            W up to 5, devices up to 0.6
        after:  y.equalised = Relu(Conv(x, W / 8)); z = Conv(y.equalised, 8 V)
    """

    target: Target
    bounds: WeightBounds = field(default=unbounded, repr=False, compare=False)

    name: ClassVar[str] = "equalise"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Go through the layers in order: what the next cannot hold moves on from there."""
        model.graph.sort()
        moved: dict[str, float] = {}
        emitter = Emitter(model)
        for node in [node for node in model.graph if node.metadata_props.get(ANALOG) == "1"]:
            if node.metadata_props.get(LAYER) != node.name:
                continue  # the Add behind a MatMul
            policy = self.target.for_layer(node.name or "")
            scaling = Scaling.of(policy, self.bounds, model)
            factors = _factors(node, scaling) if scaling is not None else None
            if factors is None or factors.max() > MOST:
                continue
            path = _Path.from_layer(node, factors)
            if path is not None and all(map(self._may_take, path.ends)):
                path.divide(emitter)
                node.metadata_props[EQUALISED] = "1"
                moved[node.name or ""] = float(factors.max())
        if moved:
            drop_unused_initializers(model.graph)
            note = (
                f"{listed(moved)}: weights up to {max(moved.values()):.3g} times larger than their "
                "devices are to hold; what is too much went into the weights of the layers behind "
                "(mapping.weight_scaling)"
            )
            add_notes(model, [note])
        return ir.passes.PassResult(model, modified=bool(moved))

    def _may_take(self, end: tuple[ir.Node, Factors]) -> bool:
        """Whether a layer's weights may grow: not where they are to stay as they are."""
        policy = self.target.for_layer(end[0].name or "")
        return policy.mapping.weight_scaling != "off"


def _factors(node: ir.Node, scaling: Scaling) -> Factors | None:
    """Return what the layer's outputs would be divided by [R]; None where all of it fits."""
    if not _owns(node, node.inputs[1]) or (len(node.inputs) > 2 and not _is_constant(node, 2)):
        return None
    matrix = LayerMatrix.of(node)
    lines = matrix.weight
    if node.op_type == "ConvTranspose":  # a channel's taps are rows of their own
        lines = lines.reshape(matrix.outputs, -1)
    # Line by line also where the outputs' scale is to be one for all: here no scale is left.
    factors = np.maximum(replace(scaling, together=False).factors(lines), 1.0)
    return factors if (factors > 1.0).any() else None


def _owns(node: ir.Node, weight: ir.Value | None) -> bool:
    """Whether nothing else uses a layer's weight, and it is one matrix or kernel."""
    if weight is None or len(list(weight.uses())) != 1 or ties_of(weight):
        return False
    return node.op_type != "MatMul" or known_shape(weight).rank() == 2


def _is_constant(node: ir.Node, index: int) -> bool:
    return node.inputs[index] is None or constant_of(node.inputs[index]) is not None


# ---------------------------------------------------------------- the way to the next layers


@dataclass
class _Path:
    """From a layer's result to all layers behind it: what is divided, what is multiplied."""

    layer: ir.Node
    rows: Factors
    divided: list[ir.Value] = field(default_factory=list)
    ends: list[tuple[ir.Node, Factors]] = field(default_factory=list)
    """The layers, and what each of their input lines [C] is to be multiplied by."""

    @classmethod
    def from_layer(cls, layer: ir.Node, rows: Factors) -> _Path | None:
        """Follow a layer's result; None where anything stands in the way."""
        path = cls(layer, rows)
        last = following_bias(layer) or layer
        out = last.outputs[0]
        rank = known_shape(out).rank()
        axis = 1 if layer.op_type in CONVOLUTIONS else rank - 1
        shape = [len(rows) if i == axis else 1 for i in range(rank)]
        return path if path._follow(out, rows.reshape(shape)) else None

    def _follow(self, value: ir.Value, factors: Factors) -> bool:
        if value.is_graph_output() or not value.consumers():
            return False
        self.divided.append(value)
        return all(self._through(node, value, factors) for node in value.consumers())

    def _through(self, node: ir.Node, value: ir.Value, factors: Factors) -> bool:
        if [v for v in node.inputs if v is value] != [value] or node.inputs[0] is not value:
            return False
        if node.metadata_props.get(LAYER) == node.name:
            lines = _input_lines(node, factors)
            if lines is None or not _owns(node, node.inputs[1]):
                return False
            self.ends.append((node, lines))
            return True
        rule = HOMOGENEOUS.get(node.op_type) if node.domain in ("", "ai.onnx") else None
        if rule is None or any(v.uses() or v.is_graph_output() for v in node.outputs[1:]):
            return False
        after = rule(node, factors)
        return after is not None and self._follow(node.outputs[0], after)

    def divide(self, emitter: Emitter) -> None:
        """Divide rows and bias, multiply the columns behind, rename what lies between."""
        node = self.layer
        emitter.before = node
        _scale_rows(emitter, node, 1 / self.rows)
        for value in self.divided:
            value.name = emitter.unique(f"{value.name}.equalised")
        for other, lines in self.ends:
            emitter.before = other
            weight = constant_of(other.inputs[1])
            assert weight is not None
            scaled = _scale_columns(other, weight.astype(np.float64), lines)
            ones = np.ones([*weight.shape[:2], *[1] * (weight.ndim - 2)])
            factor = Factor.of(_scale_columns(other, ones, lines))
            _replace(emitter, other, 1, scaled, weight.dtype, factor)


def _scale_rows(emitter: Emitter, node: ir.Node, a: Factors) -> None:
    """Multiply a layer's weights and bias by one number an output channel."""
    weight = constant_of(node.inputs[1])
    assert weight is not None
    scaled = SCALED[node.op_type](node, weight, a)
    _replace(emitter, node, 1, scaled, weight.dtype, layer_factor(node, a))
    adds = following_bias(node)
    if adds is not None:  # of a MatMul
        index = 0 if constant_of(adds.inputs[0]) is not None else 1
        _scale_bias(emitter, adds, index, a)
        node.outputs[0].name = emitter.unique(f"{node.outputs[0].name}.equalised")
    elif len(node.inputs) > 2 and node.inputs[2] is not None:
        _scale_bias(emitter, node, 2, a)


def _scale_bias(emitter: Emitter, node: ir.Node, index: int, a: Factors) -> None:
    bias = constant_of(node.inputs[index])
    assert bias is not None
    factor = a.reshape(bias.shape) if bias.size == len(a) else a
    _replace(emitter, node, index, bias * factor, bias.dtype, Factor.of(factor))


def _replace(
    emitter: Emitter,
    node: ir.Node,
    index: int,
    array: np.ndarray,
    dtype: np.dtype[np.generic],
    factor: Factor | None,
) -> None:
    """Give a node a constant of its own, factor · the old, in the place of one of its inputs."""
    old = node.inputs[index]
    assert old is not None
    name = f"{(old.name or '').removesuffix('.equalised')}.equalised"
    new, origin = emitter.initializer(name, array.astype(dtype)), origin_of(old)
    if origin is not None:
        # A single number becomes one an output.
        wide = origin.reshaped(array.shape)
        note_origin(new, None if wide is None else wide.times(factor))
    node.replace_input_with(index, new)


def _input_lines(node: ir.Node, factors: Factors) -> Factors | None:
    """Return the factors of a layer's input channels [C]; None where they differ along others."""
    axis = 1 if node.op_type in CONVOLUTIONS else factors.ndim - 1
    others = [size for i, size in enumerate(factors.shape) if i != axis]
    if any(size != 1 for size in others):
        return None
    x = node.inputs[0]
    assert x is not None
    channels = known_shape(x)[axis]
    if not isinstance(channels, int):
        return None
    return np.broadcast_to(factors.reshape(-1), channels)


def _scale_columns(node: ir.Node, weight: np.ndarray, lines: Factors) -> np.ndarray:
    """Multiply the weights of each input channel."""
    if node.op_type == "Conv":  # [R, C/G, *kernel]; the rows of a group see its channels
        groups = int_of(node, "group", 1)
        own = np.repeat(lines.reshape(groups, -1), len(weight) // groups, axis=0)
        return np.asarray(weight * own.reshape(*own.shape, *[1] * (weight.ndim - 2)))
    if node.op_type == "ConvTranspose":  # [C, R/G, *kernel]
        return np.asarray(weight * lines.reshape(-1, *[1] * (weight.ndim - 1)))
    return np.asarray(weight * (lines if int_of(node, "transB", 0) else lines[:, np.newaxis]))


# ---------------------------------------------------------------- f(a x) = a f(x)


def _same(node: ir.Node, factors: Factors) -> Factors | None:
    return factors


def _over_space(node: ir.Node, factors: Factors) -> Factors | None:
    """A pool: of one factor a channel, the same wherever it is in the image."""
    return factors if all(size == 1 for size in factors.shape[2:]) else None


def _reshaped(node: ir.Node, factors: Factors) -> Factors | None:
    """Reshape, Flatten and the like, where the batch stays in front."""
    x, out = node.inputs[0], node.outputs[0]
    assert x is not None
    before, after = list(known_shape(x))[1:], list(known_shape(out))[1:]
    if known_shape(x)[0] != known_shape(out)[0]:
        return None
    sizes = [d for d in before if isinstance(d, int)]
    wanted = [d for d in after if isinstance(d, int)]
    if len(sizes) < len(before) or len(wanted) < len(after):
        return None
    return np.broadcast_to(factors, [1, *sizes]).reshape([1, *wanted])


def _turned(node: ir.Node, factors: Factors) -> Factors | None:
    perm = list(node.attributes.get_ints("perm", range(factors.ndim)[::-1]))
    return factors.transpose(perm) if perm[0] == 0 else None


def _reduced(node: ir.Node, factors: Factors) -> Factors | None:
    """A mean over axes along which the factor is the same."""
    axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
    if axes is None or axes.size == 0:
        return None
    over = tuple(int(axis) % factors.ndim for axis in axes.reshape(-1))
    if any(factors.shape[axis] != 1 for axis in over) or 0 in over:
        return None
    return factors if int_of(node, "keepdims", 1) else factors.squeeze(over)


HOMOGENEOUS: Mapping[str, Callable[[ir.Node, Factors], Factors | None]] = {
    "Relu": _same,
    "LeakyRelu": _same,
    "PRelu": _same,
    "MaxPool": _over_space,
    "AveragePool": _over_space,
    "GlobalAveragePool": _over_space,
    "GlobalMaxPool": _over_space,
    "ReduceMean": _reduced,
    "Flatten": _reshaped,
    "Reshape": _reshaped,
    "Squeeze": _reshaped,
    "Unsqueeze": _reshaped,
    "Transpose": _turned,
}
"""Operators with f(a x) = a f(x) for a > 0, and the factors behind them from those before."""
