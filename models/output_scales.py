"""The LeNet and the fully connected network with learned scales at the outputs of every layer.

A layer has no bias; behind it stands a 1 × 1 convolution of every channel alone: scale · output +
bias. A layer rule keeps it digital (`match = "*_scale"`, `analog = false`): so train Wu et al. 2024
(arXiv 2406.12774), whose devices hold weights within ± τ and whose digital scales reach beyond.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import helper, numpy_helper

from rpucc.models.layers import image_classifier
from rpucc.models.lenet import build_lenet
from rpucc.models.mlp import build_mlp


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
        dense = node.op_type == "Gemm"
        parameters += [weight, *_parameters(node.name, bias, dense=dense)]
        out = node.output[0]
        del node.input[2]
        node.output[0] = f"{node.name}_raw"
        nodes += _scale(node.name, bias.dims[0], out, dense=dense)
    return image_classifier(name, nodes, parameters)


def _parameters(layer: str, bias: onnx.TensorProto, *, dense: bool) -> Iterator[onnx.TensorProto]:
    """Yield the initializers of a layer's scale: ones, the bias, its image's shape."""
    units = bias.dims[0]
    yield numpy_helper.from_array(np.ones((units, 1, 1, 1), np.float32), f"{layer}_scale.weight")
    yield numpy_helper.from_array(numpy_helper.to_array(bias), f"{layer}_scale.bias")
    if dense:
        yield numpy_helper.from_array(np.array([0, units, 1, 1]), f"{layer}_image.shape")


def _scale(layer: str, units: int, out: str, *, dense: bool) -> list[onnx.NodeProto]:
    """Return the nodes from a layer's raw output to `out`; of a dense layer [N, units, 1, 1]."""
    source, scaled = (
        (f"{layer}_image_out", f"{layer}_scale_out") if dense else (f"{layer}_raw", out)
    )
    inputs = [source, f"{layer}_scale.weight", f"{layer}_scale.bias"]
    scale = helper.make_node(
        "Conv", inputs, [scaled], name=f"{layer}_scale", kernel_shape=[1, 1], group=units
    )
    if not dense:
        return [scale]
    raw, shape = f"{layer}_raw", f"{layer}_image.shape"
    return [
        helper.make_node("Reshape", [raw, shape], [source], name=f"{layer}_image"),
        scale,
        helper.make_node("Flatten", [scaled], [out], name=f"{layer}_flatten", axis=1),
    ]
