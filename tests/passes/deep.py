"""Networks of many small layers, of several kinds: what has to stay linear in their number."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper, numpy_helper

WIDTH = 4


class _Chain:
    """Collects nodes and constants; every node reads what the one before made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "x"
        self._rng = np.random.default_rng(0)

    def constant(self, name: str, array: object) -> str:
        self.constants.append(numpy_helper.from_array(np.asarray(array, np.float32), name))
        return name

    def matrix(self, name: str, *shape: int) -> str:
        return self.constant(name, self._rng.uniform(-0.5, 0.5, shape))

    def node(self, op: str, inputs: list[str], **attributes: object) -> str:
        self.last = f"{op.lower()}.{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [self.last], **attributes))
        return self.last

    def model(self, shape: list[int | str], outputs: int = WIDTH) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "deep",
            [helper.make_tensor_value_info("x", 1, shape)],
            [helper.make_tensor_value_info(self.last, 1, ["N", outputs])],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def dense(layers: int) -> onnx.ModelProto:
    """Gemm and Relu, unnamed."""
    c = _Chain()
    for i in range(layers):
        c.node("Gemm", [c.last, c.matrix(f"w{i}", WIDTH, WIDTH), c.matrix(f"b{i}", WIDTH)])
        c.node("Relu", [c.last])
    return c.model(["N", WIDTH])


def residual(layers: int) -> onnx.ModelProto:
    """x + norm(conv(x)) + a bias in an Add of its own, under one zero that all share."""
    c = _Chain()
    zero = c.constant("zero", np.zeros((WIDTH, 1, 1)))
    for i in range(layers):
        start = c.last
        c.node("Conv", [start, c.matrix(f"w{i}", WIDTH, WIDTH, 1, 1)])
        c.node("Add", [c.last, zero])
        numbers = [
            c.constant(f"{k}{i}", np.full(WIDTH, v))
            for k, v in zip("sbmv", (1, 0, 0, 1), strict=True)
        ]
        c.node("BatchNormalization", [c.last, *numbers])
        c.node("Add", [c.last, start])
    c.node("GlobalAveragePool", [c.last])
    c.node("Flatten", [c.last])
    return c.model(["N", WIDTH, 2, 2])


def folded(layers: int) -> onnx.ModelProto:
    """Weights that are constants to be folded, and shapes that are computed."""
    c = _Chain()
    for _ in range(layers):
        before = c.last
        weight = numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32) / 2)
        turned = c.node("Transpose", [c.node("Constant", [], value=weight)], perm=[1, 0])
        product = c.node("MatMul", [c.node("Identity", [before]), turned])
        c.node("Reshape", [product, c.node("Shape", [product])])
        c.node("Relu", [c.node("Dropout", [c.last])])
    return c.model(["N", WIDTH])


def diamonds(layers: int) -> onnx.ModelProto:
    """(x + x) / 2, again and again: 2 to the power of `layers` ways lead to the output."""
    c = _Chain()
    half = c.constant("half", 0.5)
    c.node("MatMul", [c.last, c.matrix("w", WIDTH, WIDTH)])
    for _ in range(layers):
        c.node("Mul", [c.node("Add", [c.last, c.last]), half])
    return c.model(["N", WIDTH])


DEEP: dict[str, Callable[[int], onnx.ModelProto]] = {
    "dense": dense,
    "residual": residual,
    "folded": folded,
    "diamonds": diamonds,
}
