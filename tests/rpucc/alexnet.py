"""The AlexNet of the 2017 paper, ungrouped and without biases, with weights of zeros."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CONVOLUTIONS = (  # name, kernel [R, channels, k, k], stride, pad, pooled afterwards
    ("K1", (96, 3, 11, 11), 4, 0, True),
    ("K2", (256, 96, 5, 5), 1, 2, True),
    ("K3", (384, 256, 3, 3), 1, 1, False),
    ("K4", (384, 384, 3, 3), 1, 1, False),
    ("K5", (256, 384, 3, 3), 1, 1, True),
)
DENSE = (("W6", (4096, 9216)), ("W7", (4096, 4096)), ("W8", (1000, 4096)))


def build_alexnet() -> onnx.ModelProto:
    """Build it: x [N, 3, 227, 227] -> logits [N, 1000]."""
    weights: list[TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    value = "x"

    def add(op: str, name: str, shape: tuple[int, ...] | None = None, **attributes: object) -> None:
        nonlocal value
        inputs = [value]
        if shape is not None:
            weights.append(numpy_helper.from_array(np.zeros(shape, np.float32), f"{name}.w"))
            inputs.append(f"{name}.w")
        value = f"{name}_out"
        nodes.append(helper.make_node(op, inputs, [value], name=name, **attributes))

    for name, kernel, stride, pad, pooled in CONVOLUTIONS:
        add("Conv", name, kernel, kernel_shape=kernel[2:], strides=[stride] * 2, pads=[pad] * 4)
        add("Relu", f"relu_{name}")
        if pooled:
            add("MaxPool", f"pool_{name}", kernel_shape=[3, 3], strides=[2, 2])
    add("Flatten", "flatten")
    for name, matrix in DENSE:
        add("Gemm", name, matrix, transB=1)
        if name != "W8":
            add("Relu", f"relu_{name}")
    graph = helper.make_graph(
        nodes,
        "alexnet",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 227, 227])],
        [helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", 1000])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
