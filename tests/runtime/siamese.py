"""A LeNet of two towers that share their weights, as ONNX: are two images of one kind?"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rpucc.runtime.data import load_dataset

SIDES = ("left", "right")
LAYERS = ("conv1", "conv2", "fc1", "fc2")


def siamese_lenet(*, split: bool = False) -> onnx.ModelProto:
    """Inputs left and right [N, 1, 28, 28], or with `split` x [N, 2, 28, 28] cut in two.

    Each tower is the LeNet up to its 128 hidden units; the last layer sees |left - right| of them
    and has two outputs.
    """
    rng = np.random.default_rng(0)
    weights = []
    shapes = {"conv1": (16, 1, 5, 5), "conv2": (32, 16, 5, 5), "fc1": (128, 512), "fc2": (2, 128)}
    for name, shape in shapes.items():
        limit = 1 / np.sqrt(np.prod(shape[1:]))
        for part, size in (("weight", shape), ("bias", shape[:1])):
            values = rng.uniform(-limit, limit, size).astype(np.float32)
            weights.append(numpy_helper.from_array(values, f"{name}.{part}"))
    nodes = (
        [helper.make_node("Split", ["x"], list(SIDES), "split", axis=1, num_outputs=2)]
        if split
        else []
    )
    nodes += [node for side in SIDES for node in _tower(side)]
    nodes += [
        helper.make_node("Sub", [f"{side}_hidden" for side in SIDES], ["difference"], "sub"),
        helper.make_node("Abs", ["difference"], ["distance"], "abs"),
        helper.make_node("Gemm", ["distance", "fc2.weight", "fc2.bias"], ["y"], "fc2", transB=1),
    ]
    inputs = {"x": 2} if split else dict.fromkeys(SIDES, 1)
    graph = helper.make_graph(
        nodes,
        "siamese",
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", channels, 28, 28])
            for name, channels in inputs.items()
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 2])],
        weights,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def _tower(side: str) -> list[onnx.NodeProto]:
    nodes, value = [], side
    for layer in LAYERS[:2]:
        parameters = [f"{layer}.weight", f"{layer}.bias"]
        made = [f"{side}_{layer}_{step}" for step in ("sum", "tanh", "pool")]
        nodes += [
            helper.make_node("Conv", [value, *parameters], made[:1], f"{layer}_{side}"),
            helper.make_node("Tanh", made[:1], made[1:2]),
            helper.make_node("MaxPool", made[1:2], made[2:], kernel_shape=[2, 2], strides=[2, 2]),
        ]
        value = made[2]
    hidden = f"{side}_hidden"
    return [
        *nodes,
        helper.make_node("Flatten", [value], [f"{side}_flat"]),
        helper.make_node(
            "Gemm", [f"{side}_flat", "fc1.weight", "fc1.bias"], [f"{side}_fc1"], f"fc1_{side}",
            transB=1,
        ),
        helper.make_node("Tanh", [f"{side}_fc1"], [hidden]),
    ]  # fmt: skip


def pairs(samples: int, seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Pairs of digits, uint8, by input; label 1 where both are the same image."""
    digits = load_dataset("mnist-mini")
    assert isinstance(digits.x_train, np.ndarray)
    rng = np.random.default_rng(seed)
    left, right = (rng.integers(0, len(digits.x_train), samples) for _ in range(2))
    labels = rng.integers(0, 2, samples)
    right = np.where(labels == 1, left, right)
    return {"left": digits.x_train[left], "right": digits.x_train[right]}, labels
