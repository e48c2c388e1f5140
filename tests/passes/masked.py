"""Networks with zeros in their weights, for the tests of masks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import numpy_helper

from ..hostile.networks import network

WEIGHTS = ("wc", "wf")
"""The weights of the tiny networks; the others are biases."""


def sparse(name: str, block: bool = True) -> onnx.ModelProto:
    """A tiny network of which half of the weights are 0, and the whole start of each with them."""
    model = network(name)
    random = np.random.default_rng(7)
    for tensor in model.graph.initializer:
        if tensor.name.startswith("w"):
            array = numpy_helper.to_array(tensor).copy()
            array[random.random(array.shape) < 0.5] = 0
            if block:
                rows = array.reshape(len(array), -1)
                rows[: max(len(array) // 2, 1), : rows.shape[1] // 2] = 0
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return model
