"""The fully connected network of Gokmen & Vlasov 2016 (arXiv 1603.07341): 784-256-128-10.

Hidden units are logistic sigmoids, as in that paper; its softmax output is the loss's part.
Arrays: fc1 256 × 785, fc2 128 × 257, fc3 10 × 129; one read each a sample.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx
from onnx import helper

from rpucc.models.layers import image_classifier, initial_parameters

UNITS = (784, 256, 128, 10)


def build_mlp(seed: int = 0) -> onnx.ModelProto:
    """Build the network with seeded initial weights; "x" [N, 1, 28, 28] -> "logits" [N, 10]."""
    rng = np.random.default_rng(seed)
    nodes = [helper.make_node("Flatten", ["x"], ["flatten_out"], name="flatten", axis=1)]
    parameters = []
    source, last = "flatten_out", len(UNITS) - 1
    for k, (fan_in, units) in enumerate(itertools.pairwise(UNITS), start=1):
        layer, out = f"fc{k}", "logits" if k == last else f"fc{k}_out"
        parameters += initial_parameters(rng, layer, (units, fan_in))
        inputs = [source, f"{layer}.weight", f"{layer}.bias"]
        nodes.append(helper.make_node("Gemm", inputs, [out], name=layer, transB=1))
        if k < last:
            source = f"sigmoid{k}_out"
            nodes.append(helper.make_node("Sigmoid", [out], [source], name=f"sigmoid{k}"))
    return image_classifier("mlp", nodes, parameters)
