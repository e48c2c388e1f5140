"""The ImageNet topologies of the onnx wheel, filled with seeded weights that keep values O(1).

Their own weights are constants, with which any wrong lowering passes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"

NAMES = (
    "bvlc_alexnet",
    "densenet121",
    "inception_v1",
    "inception_v2",
    "resnet50",
    "shufflenet",
    "squeezenet",
    "vgg19",
    "zfnet512",
)

BRANCH_SCALE = 0.5
"""Of a batch norm that ends a residual branch: the sum of all branches stays O(1)."""

NORM_ROLES = ("", "scale", "bias", "mean", "variance")


def refilled(name: str, seed: int = 0, side: int = 224) -> onnx.ModelProto:
    """The topology `light_<name>.onnx` with random weights in place of its constant ones.

    side: of the square input images; only SqueezeNet takes others than 224.
    """
    model = onnx.load(LIGHT / f"light_{name}.onnx")
    graph = model.graph
    roles = _roles(graph)
    stored = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    shapes = {name: array.shape for name, array in stored.items()}
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type == "ConstantOfShape" and node.output[0] in roles:
            shapes[node.output[0]] = tuple(int(d) for d in stored[node.input[0]])
        else:
            graph.node.append(node)
    kept = [t for t in graph.initializer if t.name not in roles]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    rng = np.random.default_rng(seed)
    for weight, role in roles.items():
        array = _draw(rng, role, shapes[weight])
        graph.initializer.append(numpy_helper.from_array(array.astype(np.float32), weight))
    for dim in data_input(graph).type.tensor_type.shape.dim[2:]:
        dim.dim_value = side
    return model


def data_input(graph: onnx.GraphProto) -> onnx.ValueInfoProto:
    """The images; old files list all weights among the inputs."""
    return next(value for value in graph.input if value.name.endswith("data_0"))


def _roles(graph: onnx.GraphProto) -> dict[str, str]:
    """What each weight is for: by the op that uses it, and where in it."""
    views = ("Unsqueeze", "Reshape")
    source = {n.output[0]: n.input[0] for n in graph.node if n.op_type in views}
    made_by = {n.output[0]: n.op_type for n in graph.node}
    summed = {name for n in graph.node if n.op_type == "Sum" for name in n.input}
    roles: dict[str, str] = {}
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm"):
            weights = [source.get(name, name) for name in node.input[1:]]
            roles |= dict(zip(weights, ("weight", "bias"), strict=False))
            if made_by.get(node.input[0]) == "BatchNormalization":
                roles[weights[0]] = "weight of a linear input"
        elif node.op_type == "BatchNormalization":
            roles |= dict(zip(node.input[1:], NORM_ROLES[1:], strict=True))
            if node.output[0] in summed:
                roles[node.input[1]] = "branch scale"
        elif node.op_type in ("Mul", "Add") and node.input[1] in source:
            roles[source[node.input[1]]] = "scale" if node.op_type == "Mul" else "bias"
    return roles


def _draw(rng: np.random.Generator, role: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers for a role; a weight has the variance 2 / fan-in, behind no ReLU half that."""
    if role.startswith("weight"):
        gain = 2 if role == "weight" else 1
        fan_in = np.prod([size for size in shape if size > 1][1:])  # a Gemm's may be 1×1×R×C
        limit = (3 * gain / fan_in) ** 0.5
        return rng.uniform(-limit, limit, shape)
    if role == "variance":
        return rng.uniform(0.8, 1.25, shape)
    if role in ("scale", "branch scale"):
        return rng.uniform(0.8, 1.2, shape) * (BRANCH_SCALE if role == "branch scale" else 1.0)
    return rng.uniform(-0.1, 0.1, shape)
