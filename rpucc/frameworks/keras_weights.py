"""What Keras's variables are called in ONNX and how their numbers lie there, and back.

Keras writes a kernel [*kernel, C, R], ONNX [R, C, *kernel]: the same numbers in another order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from rpucc.frameworks.keras_graph import Array


@dataclass(frozen=True)
class Place:
    """Where a variable is in the ONNX model."""

    name: str
    depthwise: bool = False
    """Whether it is a kernel [*kernel, C, multiplier] of a convolution by channel."""

    def to_onnx(self, array: Array) -> Array:
        """Return the variable's array in ONNX's order.

        >>> Place("kernel").to_onnx(np.zeros((5, 3, 2, 8))).shape
        (8, 2, 5, 3)
        >>> Place("kernel", depthwise=True).to_onnx(np.zeros((5, 3, 2, 4))).shape
        (8, 1, 5, 3)
        """
        if array.ndim < 3:  # of a Dense layer, or a vector
            return array
        found = array.transpose(self._axes(array.ndim))
        return found.reshape(-1, 1, *found.shape[2:]) if self.depthwise else found

    def from_onnx(self, array: Array, shape: tuple[int, ...]) -> Array:
        """Return what `to_onnx` made of an array of this shape as it was.

        >>> place, x = Place("kernel", depthwise=True), np.arange(240).reshape(5, 3, 4, 4)
        >>> bool((place.from_onnx(place.to_onnx(x), x.shape) == x).all())
        True
        """
        if len(shape) < 3:
            return array.reshape(shape)
        axes = self._axes(len(shape))
        return array.reshape([shape[axis] for axis in axes]).transpose(np.argsort(axes))

    def _axes(self, ndim: int) -> list[int]:
        channels = [ndim - 2, ndim - 1] if self.depthwise else [ndim - 1, ndim - 2]
        return [*channels, *range(ndim - 2)]


def places(model: Any) -> dict[int, Place]:
    """Return where each variable of a model is, by the variable's id.

    It is called by layer and variable, conv/kernel, and by the models that the layer is in; not by
    the model itself, whose name a file does not keep in Keras's own paths.
    """
    found: dict[int, Place] = {}
    taken: set[str] = set()
    for inside, layer in layers_of(model):
        for variable in layer.variables:
            if id(variable) in found:
                continue
            whole = "/".join((*inside, layer.name, variable.name))
            name, count = whole, 1
            while name in taken:
                count += 1
                name = f"{whole}_{count}"
            taken.add(name)
            by_channel = variable.name == "depthwise_kernel"
            by_channel |= type(layer).__name__.startswith("DepthwiseConv")
            found[id(variable)] = Place(name, by_channel)
    return found


def layers_of(model: Any, inside: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the layers of a model, each with the names of the models in it that it is in."""
    for layer in model.layers:
        if hasattr(layer, "layers"):
            yield from layers_of(layer, (*inside, layer.name))
        else:
            yield inside, layer
