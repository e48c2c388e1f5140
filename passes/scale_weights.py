"""Divide weights by what their devices cannot hold, and multiply the outputs by it digitally.

Source: the weight scaling of aihwkit (Rasch et al. 2021, arXiv 2104.02184; `weight_scaling_omega`),
there always on; here only where it is asked for, or where weights do not fit. Not for factors that
the next layer's weights can take: `equalise` has moved those.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.constant_weights import INITIAL_WEIGHTS
from rpucc.layers import BEYOND_BOUNDS, WEIGHT_SCALE, AnalogLayer, analog_layers
from rpucc.origins.notes import carry_origin
from rpucc.passes.base import RpuPass
from rpucc.passes.graph_reader import CYCLE, LAYER, constant_of
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.notes import add_notes, listed, shortened
from rpucc.passes.weight_scales import (
    Scaling,
    WeightBounds,
    beyond,
    unbounded,
)

if TYPE_CHECKING:
    from rpucc.target.target import Target


@dataclass(frozen=True)
class ScaleWeights(RpuPass):
    """Scale the weights of a layer into its devices' range, its outputs back.

    Requires: unrolled layers, no gradients yet.
    Leaves behind: where a layer is scaled `<layer>.W.scaled` in the place of `<layer>.W`, a Mul by
    `<layer>.scale` behind its reads, and metadata `rpucc.weight_scale` on them, from which
    differentiate takes what makes an update of the scaled weights that of the weights themselves.
    `rpucc.beyond_bounds` where weights still lie beyond the devices' mean bounds.

        before: y = ReduceSum(Read(x, W))
        after:  y = Mul(ReduceSum(Read(x, W.scaled)), scale)          W = scale · W.scaled
    """

    target: Target
    bounds: WeightBounds = field(default=unbounded, repr=False, compare=False)

    name: ClassVar[str] = "scale_weights"

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Scale what the target asks for; note what was scaled and what will be clipped."""
        emitter = Emitter(model)
        scaled: dict[str, float] = {}
        clipped: dict[str, tuple[int, int]] = {}
        for layer in analog_layers(model):
            policy = self.target.for_layer(layer.name)
            scaling = Scaling.of(policy, self.bounds, model)
            if scaling is not None and self._scale(emitter, layer, scaling):
                scaled[layer.name] = layer.weight_scale[1]
            lines = _lines(layer)[: layer.groups]  # once where several copies learn apart
            count = beyond(lines, self.bounds(policy))
            if count:
                for read in layer.forward:
                    read.metadata_props[BEYOND_BOUNDS] = str(count)
                clipped[layer.name] = count, lines.size
        notes = []
        if scaled:
            notes.append(
                f"{listed(scaled)}: outputs are multiplied digitally, by up to "
                f"{max(scaled.values()):.3g}, so that their weights fit the devices "
                "(mapping.weight_scaling)"
            )
        if clipped:
            worst = sorted(clipped, key=lambda name: -clipped[name][0] / clipped[name][1])
            counts = (f"{name!r} {clipped[name][0]:,} of {clipped[name][1]:,}" for name in worst)
            notes.append(
                "weights beyond the devices' bounds, which programming clips: "
                f"{shortened(counts)}; {_way_out(model)}"
            )
        add_notes(model, notes)
        return ir.passes.PassResult(model, modified=bool(scaled or clipped))

    def _scale(self, emitter: Emitter, layer: AnalogLayer, scaling: Scaling) -> bool:
        """Scale one layer, if there is anything to scale."""
        if any(read.attributes.get_int("transpose", 0) for read in layer.forward):
            # A matrix that is read in both directions: its lines are not only outputs.
            scaling = replace(scaling, together=True)
        lines = _lines(layer)
        factors = scaling.factors(lines.reshape(-1, lines.shape[-1])).reshape(lines.shape[:2])
        if (factors == 1).all():
            return False
        _divide(emitter, layer, factors)
        scale = emitter.initializer(f"{layer.name}.scale", _of_outputs(factors, scaling, lines))
        for read in layer.forward:
            read.metadata_props[WEIGHT_SCALE] = str(scale.name)
            _multiply(emitter, read, layer.devices, scale)
        return True


def _way_out(model: ir.Model) -> str:
    if INITIAL_WEIGHTS in model.metadata_props:
        return "they are initial weights, which only a number as mapping.weight_scaling scales"
    return 'mapping.weight_scaling = "auto" scales them'


def _matrices(layer: AnalogLayer) -> NDArray[np.floating]:
    """Return the devices' weights: [matrices, devices a weight, R, C], a view."""
    W = constant_of(layer.weight)
    assert W is not None
    return W.reshape(layer.matrices, layer.devices, -1, W.shape[1])


def _lines(layer: AnalogLayer) -> NDArray[np.floating]:
    """Return the weights, each once: [matrices, R, C]."""
    return _matrices(layer)[:, 0]


def _of_outputs(
    factors: NDArray[np.float64], scaling: Scaling, lines: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Return the factors as outputs [.., R] or, of several matrices, [.., matrices, P, R] need."""
    if scaling.together:
        return factors[0, :1].astype(lines.dtype)
    shaped = factors[0] if len(factors) == 1 else factors[:, np.newaxis]
    return shaped.astype(lines.dtype)


def _divide(emitter: Emitter, layer: AnalogLayer, factors: NDArray[np.float64]) -> None:
    """Put the weights, each line [matrices, R] divided by its factor, in the place of the old."""
    old, matrices = layer.weight, _matrices(layer)
    W = (matrices / factors[:, np.newaxis, :, np.newaxis]).astype(matrices.dtype)
    layer.weight = emitter.initializer(f"{old.name}.scaled", W.reshape(-1, W.shape[-1]))
    carry_origin(old, layer.weight)
    old.replace_all_uses_with(layer.weight)
    del emitter.graph.initializers[str(old.name)]


def _multiply(emitter: Emitter, read: ir.Node, devices: int, scale: ir.Value) -> None:
    """Multiply the sum of a Read's partial sums (the mean of its devices) by the scale."""
    steps = [read, _next(read)]  # ReduceSum; of several devices Reshape and ReduceMean follow
    averaged = devices > 1 and not read.attributes.get_int("transpose", 0)
    for _ in range(2 if averaged else 0):
        steps.append(_next(steps[-1]))
    name, y = steps[-1].outputs[0].name, steps[-1].outputs[0]
    for step in steps:
        step.outputs[0].name = emitter.unique(f"{step.outputs[0].name}.unscaled")
    scaled = ir.Value(name=None, type=y.type, shape=y.shape)
    node = ir.node(
        "Mul",
        [y, scale],
        outputs=[scaled],
        name=emitter.unique(f"{read.metadata_props[LAYER]}.weight_scale"),
        metadata_props={key: read.metadata_props[key] for key in (LAYER, CYCLE)},
    )
    emitter.graph.insert_after(steps[-1], node)
    for user, index in list(y.uses()):
        if user is not node:
            user.replace_input_with(index, scaled)
    if y.is_graph_output():
        emitter.graph.outputs[list(emitter.graph.outputs).index(y)] = scaled
    scaled.name = name


def _next(node: ir.Node) -> ir.Node:
    """Return the node behind the first result of a node of unroll's, which nothing else uses."""
    (user,) = node.outputs[0].consumers()
    return user
