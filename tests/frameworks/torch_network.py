"""ONNX files of a few operators as PyTorch computes and trains them; it has to be there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch.nn import functional


class Network:
    """An ONNX file of a few operators as PyTorch computes and trains it; batch norms train."""

    def __init__(self, file: onnx.ModelProto) -> None:
        self.file, self.training, self.measuring = file, True, False
        self.values = {
            t.name: torch.tensor(numpy_helper.to_array(t)) for t in file.graph.initializer
        }
        statistics = {
            name
            for node in file.graph.node
            if node.op_type == "BatchNormalization"
            for name in node.input[3:5]
        }
        self.learned = [
            n
            for n, v in self.values.items()
            if n not in statistics and v.ndim and v.is_floating_point()
        ]
        for name in self.learned:
            self.values[name].requires_grad_()

    def load(self, numbers: Mapping[str, np.ndarray]) -> None:
        """Take these numbers, by the names of the file."""
        with torch.no_grad():
            for name, array in numbers.items():
                self.values[name].copy_(torch.tensor(array))

    def __call__(self, x: np.ndarray) -> Any:
        values: dict[str, Any] = {**self.values, self.file.graph.input[0].name: torch.tensor(x)}
        for node in self.file.graph.node:
            inputs = [values[name] if name else None for name in node.input]
            attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
            attributes["training"] = self.training
            if self.measuring:
                attributes["momentum"] = 0.0
            values[node.output[0]] = OPS[node.op_type](inputs, attributes)
        return values[self.file.graph.output[0].name]

    def step(self, x: np.ndarray, y: np.ndarray, lr: float) -> float:
        """One step of descent; returns the loss before it."""
        loss = functional.cross_entropy(self(x), torch.tensor(y))
        parameters = [self.values[name] for name in self.learned]
        with torch.no_grad():
            for value, slope in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
                value -= lr * slope
        return float(loss.detach())

    def evaluated(self, x: np.ndarray) -> np.ndarray:
        """The outputs [N, ...] with the running statistics."""
        self.training = False
        with torch.no_grad():
            y: np.ndarray = self(x).numpy()
        self.training = True
        return y

    def measure(self, x: np.ndarray) -> None:
        """Replace the running statistics with those of all of x, in one batch."""
        self.measuring = True
        with torch.no_grad():
            self(x)
        self.measuring = False


Tensors = list[Any]
Attributes = dict[str, Any]


def batch_norm(inputs: Tensors, attributes: Attributes) -> Any:
    """Running statistics as ONNX has them: PyTorch's own has the variance of n - 1."""
    x, scale, bias, mean, var = inputs
    epsilon = attributes.get("epsilon", 1e-5)
    if not attributes["training"]:
        return functional.batch_norm(x, mean, var, scale, bias, False, 0, epsilon)
    n = x.numel() // x.shape[1]
    kept, new = attributes.get("momentum", 0.9), var.clone()
    y = functional.batch_norm(x, mean, new, scale, bias, True, 1 - kept, epsilon)
    var.copy_(kept * var + (new - kept * var) * (n - 1) / n)
    return y


def conv(inputs: Tensors, attributes: Attributes) -> Any:
    x, *weights = inputs
    axes = x.ndim - 2
    convolve = (functional.conv1d, functional.conv2d, functional.conv3d)[axes - 1]
    pads = attributes.get("pads", [0] * 2 * axes)
    strides = attributes.get("strides", [1] * axes)
    group = attributes.get("group", 1)
    return convolve(padded(x, pads), *weights, stride=strides, groups=group)


def padded(x: Any, pads: Any) -> Any:
    """Zeros around the last axes; ONNX names the beginnings of all, then the ends."""
    axes = len(pads) // 2
    sides = [int(pads[at]) for axis in reversed(range(axes)) for at in (axis, axes + axis)]
    return functional.pad(x, sides)


def reshaped(x: Any, shape: Any) -> Any:
    """A 0 stands for the size that is there, as ONNX has it."""
    return x.reshape([int(n) or x.shape[axis] for axis, n in enumerate(shape)])


OPS: dict[str, Callable[[Tensors, Attributes], Any]] = {
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "Gemm": lambda inputs, a: functional.linear(
        inputs[0], inputs[1] if a.get("transB") else inputs[1].T, *inputs[2:]
    ),
    "MaxPool": lambda inputs, a: functional.max_pool2d(*inputs, a["kernel_shape"], a["strides"]),
    "GlobalAveragePool": lambda inputs, _: inputs[0].mean((2, 3), keepdim=True),
    "Flatten": lambda inputs, _: inputs[0].flatten(1),
    "Relu": lambda inputs, _: inputs[0].relu(),
    "Tanh": lambda inputs, _: inputs[0].tanh(),
    "Clip": lambda inputs, _: inputs[0].clamp(*inputs[1:]),
    "ReduceMean": lambda inputs, a: inputs[0].mean(tuple(inputs[1]), keepdim=bool(a["keepdims"])),
    "Pad": lambda inputs, _: padded(*inputs),
    "Reshape": lambda inputs, _: reshaped(*inputs),
    "Transpose": lambda inputs, a: inputs[0].permute(tuple(a["perm"])),
    "MatMul": lambda inputs, _: inputs[0] @ inputs[1],
    "Add": lambda inputs, _: inputs[0] + inputs[1],
}
