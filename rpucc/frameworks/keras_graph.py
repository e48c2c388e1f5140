"""The ONNX graph that a Keras model becomes, node by node: values, their layout, weights.

Keras keeps channels last, ONNX's layers want them first. A value knows which it is, and a Transpose
stands only where the order matters: before a Dense layer or a Flatten, not between convolutions.
Not for what becomes of a layer: `keras_layers.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rpucc.left_out import note_left_out

OPSET = 21
BATCH = "N"

Array = NDArray[Any]


@dataclass(frozen=True)
class Value:
    """What flows from layer to layer."""

    name: str
    shape: tuple[int | None, ...]
    """Keras's, without the batch: the channels last."""
    first: bool = False
    """Whether in the ONNX graph the channels come first: [N, C, *space]."""

    @property
    def rank(self) -> int:
        """Axes of the value, the batch included."""
        return len(self.shape) + 1


@dataclass
class Graph:
    """An ONNX graph that grows."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    weights: dict[str, onnx.TensorProto] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    """Layers that draw in training and have no place here."""
    _taken: set[str] = field(default_factory=set)
    _turned: dict[str, str] = field(default_factory=dict)

    def op(self, kind: str, inputs: Sequence[str], name: str, **attributes: Any) -> str:
        """Add a node; return the name of its result, which is the node's own."""
        name = self.unique(name)
        node = helper.make_node(kind, list(inputs), [name], name=name, **attributes)
        self.nodes.append(node)
        return name

    def weight(self, name: str, array: Array) -> str:
        """Add a weight, unless the layer that it is of was there before; return its name."""
        if name not in self.weights:
            self._taken.add(name)
            tensor = numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name)
            self.weights[name] = tensor
        return name

    def constant(self, name: str, array: Array) -> str:
        """Add numbers of a formula or a shape; return their name."""
        name = self.unique(name)
        self.weights[name] = numpy_helper.from_array(np.asarray(array), name)
        return name

    def formula(self, name: str, array: Array) -> str:
        """Add numbers that stand where others have weights: a Constant, which is never trained."""
        name = self.unique(name)
        tensor = numpy_helper.from_array(np.asarray(array), name)
        self.nodes.append(helper.make_node("Constant", [], [name], name=name, value=tensor))
        return name

    def unique(self, name: str) -> str:
        """Return the name, or with a number where it is taken."""
        found, count = name, 1
        while found in self._taken:
            count += 1
            found = f"{name}_{count}"
        self._taken.add(found)
        return found

    def as_first(self, value: Value) -> Value:
        """Return the value with its channels first; of a matrix [N, C] they are."""
        if value.first or value.rank < 3:
            return value
        axes = [0, value.rank - 1, *range(1, value.rank - 1)]
        return Value(self._turn(value, axes), value.shape, first=True)

    def as_last(self, value: Value) -> Value:
        """Return the value in Keras's order."""
        if not value.first:
            return value
        name = self._turn(value, [0, *range(2, value.rank), 1])
        return Value(name, value.shape)

    def _turn(self, value: Value, axes: list[int]) -> str:
        if value.name not in self._turned:
            turned = self.op("Transpose", [value.name], f"{value.name}/transpose", perm=axes)
            self._turned[value.name] = turned
            self._turned[turned] = value.name
        return self._turned[value.name]

    def model(
        self, name: str, inputs: Sequence[Value], outputs: Sequence[Value]
    ) -> onnx.ModelProto:
        """Return the whole as a model."""
        graph = helper.make_graph(
            self.nodes,
            name,
            [_info(value) for value in inputs],
            [_info(value) for value in outputs],
            list(self.weights.values()),
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="keras"
        )
        note_left_out(model, self.left_out)
        return model


def onnx_shape(value: Value) -> tuple[int | None, ...]:
    """Return the value's shape in the ONNX graph, without the batch."""
    return (value.shape[-1], *value.shape[:-1]) if value.first else value.shape


def same_pads(
    sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Return the pads of "same": as many results as inputs divided by the stride, rounded up.

    >>> same_pads([28, 28], [3, 2], [1, 2], [1, 1])
    [1, 0, 1, 0]
    """
    begins, ends = [], []
    for size, k, stride, dilation in zip(sizes, kernel, strides, dilations, strict=True):
        whole = (math.ceil(size / stride) - 1) * stride + (k - 1) * dilation + 1
        total = max(whole - size, 0)
        begins.append(total // 2)
        ends.append(total - total // 2)
    return [*begins, *ends]


def _info(value: Value) -> onnx.ValueInfoProto:
    sizes = [BATCH, *onnx_shape(value)]
    return helper.make_tensor_value_info(value.name, TensorProto.FLOAT, sizes)
