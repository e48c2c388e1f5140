"""`rpucc.dense`: a fully connected network from weights in NumPy arrays.

Not for drawing weights: `built.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import numpy_helper

from rpucc import arguments
from rpucc.errors import ArgumentError
from rpucc.models.activations import ACTIVATIONS, activate
from rpucc.models.network import Network

PAIRS = "a list of (W, b), one a layer: W [outputs, inputs], b [outputs] or None"


def dense(
    layers: Iterable[tuple[ArrayLike, ArrayLike | None]], activation: str = "sigmoid"
) -> onnx.ModelProto:
    """Return the network y = W₂ f(W₁ x + b₁) + b₂ … as an ONNX model, for `rpucc.compile`.

    "x" [N, inputs] -> "logits" [N, outputs]. The layers are called fc1, fc2, …, their weights
    fc1.weight and fc1.bias, float32. The weights count as trained ones: compiling keeps them, and
    divides those that no device could hold (`mapping.weight_scaling`).

    layers: (W, b) of each: W [outputs, inputs], b [outputs] or None for a layer without a bias.
        scikit-learn's `MLPClassifier` has them transposed: zip them as (W.T, b).
    activation: what follows every layer but the last: relu, tanh, sigmoid, leaky-relu, relu6, elu,
        selu, celu, gelu, silu, mish, softplus, softsign, hard-sigmoid, hard-swish or none.

    Raises ArgumentError for shapes that do not agree, numbers that float32 does not hold, and other
    arguments.

    >>> W = [np.full((3, 4), 0.1), np.full((2, 3), -0.1)]
    >>> model = dense([(W[0], np.zeros(3)), (W[1], None)], activation="tanh")
    >>> [node.op_type for node in model.graph.node]
    ['Gemm', 'Tanh', 'Gemm']
    """
    if not isinstance(activation, str) or activation not in ACTIVATIONS:
        raise arguments.wrong("dense(activation)", activation, f"one of {', '.join(ACTIVATIONS)}")
    parameters = _checked(layers)
    net, x = Network("dense", 0), "x"
    for number, (weight, bias) in enumerate(parameters, 1):
        layer = f"fc{number}"
        arrays = {f"{layer}.weight": weight} | ({} if bias is None else {f"{layer}.bias": bias})
        net.parameters += [numpy_helper.from_array(each, name) for name, each in arrays.items()]
        x = net.node("Gemm", layer, x, *arrays, transB=1)
        if number < len(parameters):
            x = activate(net, activation, number, x)
    model = net.finish(x, parameters[0][0].shape[1:], parameters[-1][0].shape[:1])
    del model.metadata_props[:]  # the weights are not initial ones, and the range is the user's
    return model


def _checked(layers: object) -> list[tuple[NDArray[np.float32], NDArray[np.float32] | None]]:
    """Return the arrays of each layer, in float32; raises ArgumentError."""
    if isinstance(layers, str | bytes | dict) or not isinstance(layers, Iterable):
        raise arguments.wrong("dense(layers)", layers, PAIRS)
    found: list[tuple[NDArray[np.float32], NDArray[np.float32] | None]] = []
    for i, pair in enumerate(layers):
        where = f"dense(layers)[{i}]"
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise arguments.wrong(where, pair, "a pair (W, b), or (W, None)")
        weight = _array(pair[0], f"{where}: W", 2)
        bias = None if pair[1] is None else _array(pair[1], f"{where}: b", 1)
        shape = list(weight.shape)
        if bias is not None and len(bias) != shape[0]:
            turned = "; pass W.T" if len(bias) == shape[1] else ""
            raise ArgumentError(
                f"{where}: W is [outputs, inputs], found {shape}, and b [outputs], found "
                f"[{len(bias)}]{turned}"
            )
        if found and found[-1][0].shape[0] != shape[1]:
            before = found[-1][0].shape[0]
            turned = "; pass W.T" if bias is None and before == shape[0] else ""
            raise ArgumentError(
                f"{where}: W is [outputs, inputs], found {shape}, but the layer before has "
                f"{before} outputs{turned}"
            )
        found.append((weight, bias))
    if not found:
        raise ArgumentError(f"dense(layers): there is no layer; allowed: {PAIRS}")
    return found


def _array(value: Any, where: str, axes: int) -> NDArray[np.float32]:
    """Return real numbers as a float32 array of so many axes; raises ArgumentError."""
    try:
        given = np.asarray(value)
    except (ValueError, TypeError, RuntimeError):  # lists of unequal lengths, tensors elsewhere
        raise arguments.wrong(where, value, f"an array of real numbers with {axes} axes") from None
    if given.dtype.kind not in "iuf" or given.ndim != axes or not given.size:
        raise ArgumentError(
            f"{where}: found shape {list(given.shape)} and type {given.dtype}; allowed: real "
            f"numbers with {axes} {'axis' if axes == 1 else 'axes'}, at least one"
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(given, np.float32)
    if not np.isfinite(array).all():
        raise ArgumentError(f"{where} holds NaN, infinity or a number that float32 does not hold")
    return array
