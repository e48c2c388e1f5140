"""Activations of Keras as ONNX operators: functions of other layers, and layers of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rpucc.frameworks.keras_call import Call
from rpucc.frameworks.keras_graph import Value

ACTIVATIONS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "relu": ("Relu", {}),
    "sigmoid": ("Sigmoid", {}),
    "tanh": ("Tanh", {}),
    "elu": ("Elu", {}),
    "selu": ("Selu", {}),
    "celu": ("Celu", {}),
    "gelu": ("Gelu", {}),
    "mish": ("Mish", {}),
    "softplus": ("Softplus", {}),
    "softsign": ("Softsign", {}),
    "exponential": ("Exp", {}),
    "leaky_relu": ("LeakyRelu", {"alpha": 0.2}),
    "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5}),
    "hard_silu": ("HardSwish", {}),
    "softmax": ("Softmax", {}),
    "log_softmax": ("LogSoftmax", {}),
}
"""Name of a Keras activation -> operator and attributes."""


def activated(call: Call, value: Value, function: Any, name: str = "") -> Value:
    """The value behind a layer's activation, which is a function of Keras or its name."""
    from keras import activations

    said = function if isinstance(function, str) else activations.serialize(function)
    kind = said if isinstance(said, str) else ""
    kind = {"swish": "silu", "hard_swish": "hard_silu"}.get(kind, kind)
    name = name or f"{call.name}/{kind}"
    if kind == "linear":
        return value
    if kind == "silu":
        gate = call.op("Sigmoid", value.name, name=f"{name}/sigmoid")
        return replace(value, name=call.op("Mul", value.name, gate, name=name))
    if kind == "relu6":
        return _clipped(call, value, 6.0, name)
    if kind not in ACTIVATIONS:
        raise call.refuse(
            f"activation {kind or 'of your own'!r} is not taken; those taken: "
            f"{', '.join(sorted([*ACTIVATIONS, 'silu', 'relu6', 'linear']))}"
        )
    operator, attributes = ACTIVATIONS[kind]
    if operator in ("Softmax", "LogSoftmax"):
        attributes = {"axis": 1 if value.first else -1}
    return replace(value, name=call.op(operator, value.name, name=name, **attributes))


def activation(call: Call, value: Value) -> Value:
    """The layer Activation."""
    return activated(call, value, call.layer.activation, call.name)


def softmax(call: Call, value: Value) -> Value:
    """The layer Softmax, over the last axis."""
    if call.layer.axis not in (-1, value.rank - 1):
        raise call.refuse(f"axis={call.layer.axis}: only the last is taken")
    return activated(call, value, "softmax", call.name)


def relu(call: Call, value: Value) -> Value:
    """The layer ReLU with a slope or a bound."""
    layer = call.layer
    slope, most = float(layer.negative_slope), layer.max_value
    if layer.threshold or (slope and most is not None):
        raise call.refuse("a threshold, or a slope beside a bound, is not taken")
    if most is not None:
        return _clipped(call, value, float(most), call.name)
    if slope:
        return replace(value, name=call.op("LeakyRelu", value.name, alpha=slope))
    return replace(value, name=call.op("Relu", value.name))


def leaky_relu(call: Call, value: Value) -> Value:
    """The layer LeakyReLU."""
    slope = float(call.layer.negative_slope)
    return replace(value, name=call.op("LeakyRelu", value.name, alpha=slope))


def elu(call: Call, value: Value) -> Value:
    """The layer ELU."""
    return replace(value, name=call.op("Elu", value.name, alpha=float(call.layer.alpha)))


def _clipped(call: Call, value: Value, most: float, name: str) -> Value:
    bounds = [call.constant("low", 0, np.float32), call.constant("high", most, np.float32)]
    return replace(value, name=call.op("Clip", value.name, *bounds, name=name))
