"""The LeNet of Gokmen, Onen & Haensch 2017 (arXiv 1705.08014), for 28 × 28 images.

Arrays: conv1 16 × 26, conv2 32 × 401, fc1 128 × 513, fc2 10 × 129: 80,202 weights with the
biases. Reads a sample: 576, 64, 1, 1.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from rpucc.models.layers import image_classifier, initial_parameters


def build_lenet(seed: int = 0) -> onnx.ModelProto:
    """Build the LeNet with seeded initial weights; "x" [N, 1, 28, 28] -> "logits" [N, 10]."""
    rng = np.random.default_rng(seed)
    parameters = [
        *initial_parameters(rng, "conv1", (16, 1, 5, 5)),
        *initial_parameters(rng, "conv2", (32, 16, 5, 5)),
        *initial_parameters(rng, "fc1", (128, 512)),
        *initial_parameters(rng, "fc2", (10, 128)),
    ]
    nodes = [
        *_conv_block(1, "x"),
        *_conv_block(2, "pool1_out"),
        helper.make_node("Flatten", ["pool2_out"], ["flatten_out"], name="flatten", axis=1),
        _dense("fc1", "flatten_out", "fc1_out"),
        helper.make_node("Tanh", ["fc1_out"], ["tanh3_out"], name="tanh3"),
        _dense("fc2", "tanh3_out", "logits"),
    ]
    return image_classifier("lenet", nodes, parameters)


def _conv_block(k: int, source: str) -> list[onnx.NodeProto]:
    """5 × 5 convolution, tanh, 2 × 2 max pool."""
    conv, tanh, pool = f"conv{k}", f"tanh{k}", f"pool{k}"
    return [
        helper.make_node(
            "Conv",
            [source, f"{conv}.weight", f"{conv}.bias"],
            [f"{conv}_out"],
            name=conv,
            kernel_shape=[5, 5],
        ),
        helper.make_node("Tanh", [f"{conv}_out"], [f"{tanh}_out"], name=tanh),
        helper.make_node(
            "MaxPool",
            [f"{tanh}_out"],
            [f"{pool}_out"],
            name=pool,
            kernel_shape=[2, 2],
            strides=[2, 2],
        ),
    ]


def _dense(layer: str, source: str, out: str) -> onnx.NodeProto:
    """Fully connected layer: out = source · weightᵀ + bias."""
    return helper.make_node(
        "Gemm", [source, f"{layer}.weight", f"{layer}.bias"], [out], name=layer, transB=1
    )
