"""A model's message without its large weights: what onnx's checker and inference need to see.

None of onnx's tools looks into large tensors, serialising them takes seconds, and a message above
2 GB cannot be serialised at all. Not for saving models.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import onnx
import onnx_ir as ir

_SMALL = 1024  # bytes; tensors up to this size (shapes, axes, pads) decide what the tools infer


def light_proto(model: ir.Model) -> onnx.ModelProto:
    """Serialise the model without its large weights, which become graph inputs."""
    with _weights_as_inputs(model):
        return ir.to_proto(model)


@contextlib.contextmanager
def _weights_as_inputs(model: ir.Model) -> Iterator[None]:
    """Turn large initializers into graph inputs for a while."""
    graph = model.graph
    inputs, initializers = list(graph.inputs), list(graph.initializers.values())
    tensors = [value.const_value for value in initializers]
    for value, tensor in zip(initializers, tensors, strict=True):
        assert tensor is not None  # whoever read the model has touched every weight
        value.shape, value.dtype = ir.Shape(tensor.shape.numpy()), tensor.dtype
        if tensor.nbytes > _SMALL:
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
