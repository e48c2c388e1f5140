"""One use of a Keras layer, with what its way into ONNX needs: names, weights, layout, windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rpucc.errors import UnsupportedError
from rpucc.frameworks.keras_graph import Array, Graph, Value, onnx_shape, same_pads
from rpucc.frameworks.keras_weights import Place


@dataclass(frozen=True)
class Call:
    """One use of a layer."""

    graph: Graph
    layer: Any
    places: Mapping[int, Place]
    """Variable's id -> where it is in ONNX."""
    label: str
    """Where the layer is, for messages."""

    @property
    def name(self) -> str:
        """The layer's name."""
        return str(self.layer.name)

    def op(self, kind: str, *inputs: str, name: str = "", **attributes: Any) -> str:
        """Add a node that is called as the layer, or `name`."""
        return self.graph.op(kind, inputs, name or self.name, **attributes)

    def weight(self, variable: Any) -> str:
        """The variable as an ONNX weight."""
        place = self.places[id(variable)]
        return self.graph.weight(place.name, place.to_onnx(array(variable)))

    def constant(self, suffix: str, values: object, dtype: type = np.int64) -> str:
        """Numbers as a constant of the layer."""
        return self.graph.constant(f"{self.name}/{suffix}", np.asarray(values, dtype))

    def refuse(self, what: str) -> UnsupportedError:
        """The error for a layer that is not taken as it is."""
        return UnsupportedError(f"{self.label}: {what}")

    def channels(self, value: Value) -> Value:
        """The value as the layer's ONNX operator wants it: its channels first."""
        if getattr(self.layer, "data_format", "channels_last") == "channels_first":
            return self.graph.as_last(value)  # Keras's own order has them first
        return self.graph.as_first(value)

    def result(self, name: str, like: Value, shape: Sequence[int | None]) -> Value:
        """The layer's result in the layout of what it was computed from."""
        return Value(name, tuple(shape), like.first)


Lowering = Callable[..., Value]


def array(variable: Any) -> Array:
    """Return a variable's numbers."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(variable.value))


def windows(
    call: Call, x: Value, size: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> dict[str, Any]:
    """Strides, dilations and pads; of sizes that are not known ONNX works out "same" itself."""
    found: dict[str, Any] = {"kernel_shape": list(size), "strides": list(strides)}
    found["dilations"] = list(dilations)
    sizes = onnx_shape(x)[1:]
    padding = call.layer.padding
    if padding == "causal":
        found["pads"] = [(size[0] - 1) * dilations[0], 0]
    elif padding == "same":
        known = [each for each in sizes if each is not None]
        if len(known) == len(sizes):
            found["pads"] = same_pads(known, size, strides, dilations)
        else:
            found["auto_pad"] = "SAME_UPPER"
    return found


def output(call: Call, x: Value, name: str, value: Value) -> Value:
    """The layer's result, its shape as Keras works it out."""
    shape = call.layer.compute_output_shape((None, *value.shape))
    return call.result(name, x, shape[1:])


def numbers(values: Any) -> Array:
    """Return what a layer holds of a tensor, a list or a number, as float64."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(values), np.float64)
