"""Feedback alignment: errors go back through fixed random matrices in place of the weights.

Source: Lillicrap, Cownden, Tweed & Akerman 2016, "Random synaptic feedback weights support error
backpropagation for deep learning" (doi 10.1038/ncomms13276). Everything else of a step is
backprop's (`backprop.py`): what the outer products are made of, the digital operations, the loss.
Not for the numbers as they are drawn: the compiler is given what draws them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.feedback import FEEDBACK
from rpucc.layers import DEVICES, OP, AnalogLayer, analog_layers, weight_scale
from rpucc.masks import has_bias_column
from rpucc.passes.gradients.context import GradientEmitter, Through
from rpucc.passes.graph_reader import ANALOG, LAYER
from rpucc.passes.notes import add_notes, listed
from rpucc.passes.weight_scales import WeightBounds
from rpucc.passes.window import ints

if TYPE_CHECKING:
    from rpucc.target.target import Target

Draw: TypeAlias = "Callable[[int, str, int], NDArray[np.float32]]"
"""(seed, name of the layer, count) -> so many numbers from -1 to 1, uniformly distributed."""


def undrawn(seed: int, layer: str, count: int) -> NDArray[np.float32]:
    """Stand for what draws where nobody said: a pipeline without random matrices needs none."""
    raise NotImplementedError(f"layer {layer!r}: nothing draws its feedback matrix")


class Feedback:
    """Says what the errors of each Read go back through, by the policy of its layer.

    A layer of `update.feedback = "random"` gets the matrix B of its own shape, an initializer
    `<layer>.B` that no step changes, the first time that it is asked for: where no errors go back
    through a layer, it needs none. Where the model shares a matrix all its places have one B. Of
    several devices a weight, and of copies that learn apart, all hold the same numbers; the line of
    a bias, whose input is constant, holds zeros.
    """

    def __init__(
        self, e: GradientEmitter, target: Target, draw: Draw, bounds: WeightBounds
    ) -> None:
        self._e, self._target, self._draw, self._bounds = e, target, draw, bounds
        self._layers = {layer.weight: layer for layer in analog_layers(e.model)}
        self._matrices: dict[ir.Value, ir.Value] = {}

    def __call__(self, read: ir.Node) -> Through:
        """Return the matrix, and what its Read is called: the layer's own or a random one's."""
        weight = read.inputs[1]
        assert weight is not None
        layer = self._layers[weight]
        if self._target.for_layer(layer.name).update.feedback == "weights":
            return weight, {}
        if weight not in self._matrices:
            values = self._values(layer)
            self._matrices[weight] = self._e.initializer(f"{layer.name}.B", values)
        first = layer.first.metadata_props
        notes = {key: first[key] for key in (OP, DEVICES) if key in first}
        return self._matrices[weight], {**notes, LAYER: f"{layer.name}{FEEDBACK}"}

    def note_digital(self) -> None:
        """Note the digital layers whose policy has a random matrix: they keep their weights."""
        layers = (n for n in self._e.graph if n.metadata_props.get(ANALOG) == "0")
        names = dict.fromkeys(str(node.metadata_props.get(LAYER)) for node in layers)
        asked = [n for n in names if self._target.for_layer(n).update.feedback == "random"]
        if asked:
            its = "its own weights" if len(asked) == 1 else "their own weights"
            add_notes(
                self._e.model,
                [f"{listed(asked)}: digital, so errors go back through {its} (update.feedback)"],
            )

    def _values(self, layer: AnalogLayer) -> NDArray[np.float32]:
        """Return B as its devices hold it, in the shape of the layer's weights.

        Uniform between ±1 / √fan-out, as weights between ±1 / √fan-in: errors stay of one size on
        their way back through layers of any width (He et al. 2015, arXiv 1502.01852, section 2.2).
        Where the layer's outputs are multiplied by a scale, so are the errors in front of B: it is
        divided by it. No entry is larger than what the devices hold on average.
        """
        policy = self._target.for_layer(layer.name)
        low, high = self._bounds(policy)
        bound = min(-low, high)
        if bound <= 0:
            raise TargetError(
                f'layer {layer.name!r}: update.feedback = "random" needs devices that hold '
                f"weights of both signs; those of its target hold {low:g} to {high:g} on average"
            )
        columns, bias = layer.columns, int(has_bias_column(layer))
        rows = layer.group_rows // layer.devices
        shape = (layer.groups, rows, columns - bias)
        drawn = self._draw(policy.update.feedback_seed, layer.name, math.prod(shape))
        largest = 1 / math.sqrt(_fan_out(layer, rows)) / _scales(layer, rows)
        B = drawn.reshape(shape) * np.minimum(largest, bound)
        B = np.pad(B, ((0, 0), (0, 0), (0, bias)))
        devices = np.tile(B, (1, layer.devices, 1)).reshape(-1, columns)
        return np.tile(devices, (layer.learners, 1)).astype(np.float32)


def _fan_out(layer: AnalogLayer, rows: int) -> int:
    """How many outputs each input of the layer goes to; at the edges of an image fewer."""
    windows = (ints(node, "kernel_shape", ()) for node in _leading(layer))
    return rows * math.prod(map(math.prod, windows))


def _leading(layer: AnalogLayer) -> Iterator[ir.Node]:
    """The nodes of the layer in front of its first Read, from there backwards."""
    node, name = layer.first, layer.first.metadata_props[LAYER]
    while (x := node.inputs[0]) is not None and (before := x.producer()) is not None:
        if before.metadata_props.get(LAYER) != name:
            return
        yield before
        node = before


def _scales(layer: AnalogLayer, rows: int) -> NDArray[np.float64]:
    """The digital factors of the outputs, to be broadcast with [groups, R, C]; 1 without."""
    scale = weight_scale(layer.first)
    if scale is None:
        return np.ones((1, 1, 1))
    if scale.size == 1:
        return scale.reshape(1, 1, 1).astype(np.float64)
    return scale.astype(np.float64).reshape(-1, rows, 1)[: layer.groups]
