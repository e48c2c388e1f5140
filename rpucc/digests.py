"""Short digests of what no number of a plan shows: the weights, and how the digital part is wired.

Programs with equal digests, plans and policies compute the same. Names of nodes and values do not
count, names of layers do. Not for secrets, nor for the runs of experiments (experiments/store.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import numpy as np
import onnx_ir as ir

from rpucc.layers import READS, AnalogLayer, analog_layers
from rpucc.opset import DOMAIN

DIGITS = 16
"""Hexadecimal digits of a digest."""


def weight_digests(model: ir.Model) -> dict[str, str]:
    """Return the digest of each layer's matrix on arrays as it will be programmed.

    Copies and several devices a weight hold the same numbers and do not count again.
    """
    return {layer.name: _of_array(_matrix(layer)) for layer in analog_layers(model)}


def other_weights_digest(model: ir.Model) -> str:
    """Return one digest of all other weights: of digital layers, biases, batch norms."""
    layers = {layer.weight for layer in analog_layers(model)}
    others = [value for value in model.graph.initializers.values() if value not in layers]
    return _digest(sorted(_content(value) for value in others if _is_weight(value)))


def network_digest(model: ir.Model) -> str:
    """Return the digest of the graph: which operation gets what from which, outside the arrays.

    Of a read or update of arrays only its layer counts; how it is managed, tiled and pulsed is the
    plan's and the policy's to say.
    """
    layers = {layer.weight: layer.name for layer in analog_layers(model)}
    known: dict[ir.Value | None, str] = {None: "-"}
    for i, value in enumerate(model.graph.inputs):
        known[value] = f"input {i} {value.shape}"
    for value in model.graph.initializers.values():
        known[value] = layers.get(value) or _constant(value)
    owners = {node: layer.name for layer in analog_layers(model) for node in layer.nodes}
    for node in model.graph:
        known |= zip(node.outputs, _outputs(node, known, owners.get(node)), strict=True)
    return _digest(known[value] for value in model.graph.outputs)


def _outputs(
    node: ir.Node, known: Mapping[ir.Value | None, str], layer: str | None
) -> Iterable[str]:
    """Return what stands for each output of a node; management leaves its value what it is."""
    inputs = [known[value] for value in node.inputs]
    if node.domain == DOMAIN and node.op_type == "NoiseManage":
        return inputs[0], "scale"
    if node.domain == DOMAIN and node.op_type == "Rescale":
        return inputs[:1]
    if layer is not None:
        op = "Read" if node.op_type in READS else node.op_type
        attributes = [str(node.attributes.get_int("transpose", 0))]
    else:
        op = node.op_type
        attributes = sorted(_attribute(each) for each in node.attributes.values())
    found = _digest([node.domain, op, layer or "", *attributes, *inputs])
    return [f"{found}:{i}" for i in range(len(node.outputs))]


def _attribute(attribute: ir.Attr) -> str:
    value = attribute.value
    if isinstance(value, ir.TensorProtocol):
        return f"{attribute.name}={_of_array(value.numpy())}"
    return f"{attribute.name}={value}"


def _constant(value: ir.Value) -> str:
    """What stands for a constant: of a weight, its shape."""
    return f"weight {value.shape}" if _is_weight(value) else _content(value)


def _is_weight(value: ir.Value) -> bool:
    """Whether a constant is no shape, no axis and no single number."""
    tensor = value.const_value
    return tensor is None or (tensor.size > 1 and tensor.dtype.is_floating_point())


def _content(value: ir.Value) -> str:
    return "absent" if value.const_value is None else _of_array(value.const_value.numpy())


def _matrix(layer: AnalogLayer) -> np.ndarray:
    """Return the matrix of a layer, groups one below the other; empty where it is absent."""
    tensor = layer.weight.const_value
    if tensor is None:
        return np.empty(0)
    by_device = layer.learners, layer.groups, layer.devices, -1, layer.columns
    return tensor.numpy().reshape(by_device)[0, :, 0]


def _of_array(array: np.ndarray) -> str:
    found = hashlib.sha256(f"{array.dtype.name} {array.shape} ".encode())
    found.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return found.hexdigest()[:DIGITS]


def _digest(parts: Iterable[str]) -> str:
    text = "\0".join(parts).encode(errors="backslashreplace")
    return hashlib.sha256(text).hexdigest()[:DIGITS]
