"""The LeNet and the fully connected network with learned scales at the outputs of every layer.

A layer has no bias; a batch normalisation of mean 0 and variance 1 stands behind it, which is
scale · output + bias. With `batch_norm.policy = "train"` both are digital and learn, as in Wu et
al. 2024 (arXiv 2406.12774), whose devices hold weights within ± τ and whose scales reach beyond.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rpucc.models.layers import image_classifier
from rpucc.models.lenet import build_lenet
from rpucc.models.mlp import build_mlp

EPSILON = 1e-12
"""What the variance of 1 gets added: nothing, in float32."""


def build_lenet_scaled(seed: int = 0) -> onnx.ModelProto:
    """Build `lenet` with learned output scales; "x" [N, 1, 28, 28] -> "logits" [N, 10]."""
    return _with_scales(build_lenet(seed), "lenet-scaled")


def build_mlp_scaled(seed: int = 0) -> onnx.ModelProto:
    """Build `mlp` with learned output scales; "x" [N, 1, 28, 28] -> "logits" [N, 10]."""
    return _with_scales(build_mlp(seed), "mlp-scaled")


def _with_scales(model: onnx.ModelProto, name: str) -> onnx.ModelProto:
    """Put a scale of 1 behind every layer, and what was its bias."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes, parameters = [], []
    for node in model.graph.node:
        nodes.append(node)
        if node.op_type not in ("Conv", "Gemm"):
            continue
        weight, bias = (tensors[key] for key in node.input[1:])
        scale, raw, out = f"{node.name}_scale", f"{node.name}_raw", node.output[0]
        one = np.ones(bias.dims[0], np.float32)
        values = {"scale": one, "bias": numpy_helper.to_array(bias), "mean": 0 * one, "var": one}
        parameters.append(weight)
        parameters += [numpy_helper.from_array(v, f"{scale}.{key}") for key, v in values.items()]
        del node.input[2]
        node.output[0] = raw
        inputs = [raw, *(f"{scale}.{key}" for key in values)]
        nodes.append(
            helper.make_node("BatchNormalization", inputs, [out], name=scale, epsilon=EPSILON)
        )
    return image_classifier(name, nodes, parameters)
