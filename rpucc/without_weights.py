"""A model without its large weights, for tools that look at the graph alone.

A protobuf message above 2 GB cannot be serialised, and none of onnx's tools (checker, shape
inference, version converter) looks at large tensors. Not for saving: that is `program.py`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray

SMALL = 1024
"""Bytes; tensors up to this size (shapes, axes, pads) decide what the tools infer, and stay."""


@contextlib.contextmanager
def _weights_as_inputs(model: ir.Model) -> Iterator[None]:
    """Turn large initializers into graph inputs for a while."""
    graph = model.graph
    inputs, initializers = list(graph.inputs), list(graph.initializers.values())
    tensors = [value.const_value for value in initializers]
    for value, tensor in zip(initializers, tensors, strict=True):
        assert tensor is not None  # read_model has touched every weight
        value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
        if tensor.nbytes > SMALL:
            graph.initializers.pop(str(value.name))
            value.const_value = None
            if not value.is_graph_input():
                graph.inputs.append(value)
    try:
        yield
    finally:
        graph.initializers.clear()
        graph.inputs.clear()
        graph.inputs.extend(inputs)
        for value, tensor in zip(initializers, tensors, strict=True):
            value.const_value = tensor
            graph.register_initializer(value)


def proto_without_weights(model: ir.Model) -> onnx.ModelProto:
    """Serialise the model without its large weights, which become graph inputs."""
    with _weights_as_inputs(model):
        return ir.to_proto(model)


def large_weights(model: ir.Model) -> dict[str, NDArray[np.generic]]:
    """Return the weights that `proto_without_weights` leaves out: what a run of it must be fed."""
    return {
        name: value.const_value.numpy()
        for name, value in model.graph.initializers.items()
        if value.const_value is not None and value.const_value.nbytes > SMALL
    }
