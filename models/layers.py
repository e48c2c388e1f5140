"""What the builders of the model zoo share: initial weights and the finished ModelProto.

Only onnx and numpy are needed. Not for reading models: that is `rpucc.passes.importer`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 21
IR_VERSION = 10
IMAGE = (1, 28, 28)  # MNIST and its relatives: one channel, 28 × 28 pixels


def initial_parameters(
    rng: np.random.Generator, layer: str, weight_shape: Sequence[int]
) -> list[TensorProto]:
    """Draw `<layer>.weight` and `<layer>.bias`, uniform in ±1/√C.

    weight_shape: [R, ...]; the fan-in is the product of the rest. C = fan-in + 1 counts the bias
    column that an array holds beside the weights, and the bias is drawn like any other column.
    """
    rows, fan_in = weight_shape[0], int(np.prod(weight_shape[1:]))
    limit = 1.0 / np.sqrt(fan_in + 1)
    matrix: NDArray[np.float32] = rng.uniform(-limit, limit, (rows, fan_in + 1)).astype(np.float32)
    weight = np.ascontiguousarray(matrix[:, :-1]).reshape(weight_shape)
    bias = np.ascontiguousarray(matrix[:, -1])
    return [
        numpy_helper.from_array(weight, f"{layer}.weight"),
        numpy_helper.from_array(bias, f"{layer}.bias"),
    ]


def image_classifier(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    parameters: Sequence[TensorProto],
    classes: int = 10,
) -> onnx.ModelProto:
    """Wrap nodes into a checked model: "x" [N, 1, 28, 28] in [0, 1] -> "logits" [N, classes]."""
    model = finished_model(name, nodes, parameters, IMAGE, (classes,))
    onnx.checker.check_model(model, full_check=True)
    return model


def finished_model(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    parameters: Sequence[TensorProto],
    sample: Sequence[int],
    output: Sequence[int],
) -> onnx.ModelProto:
    """Wrap nodes into a model: "x" [N, *sample] in [0, 1] -> "logits" [N, *output].

    Not checked here: the checker copies all weights several times.
    """
    graph = helper.make_graph(
        list(nodes),
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *sample])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", *output])],
    )
    model = helper.make_model(
        graph,
        producer_name="rpucc",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    model.graph.initializer.extend(parameters)  # last: the helpers above copy what they get
    helper.set_model_props(model, {"rpucc.input_range": "0 1", "rpucc.initial_weights": "1"})
    return model
