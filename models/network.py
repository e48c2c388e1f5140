"""Building large networks layer by layer: each method adds a node and returns its value's name.

Not for the small networks of the papers (lenet.py, mlp.py), whose weights are drawn otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from rpucc.models.layers import finished_model

RELU_GAIN = 2.0
"""Variance of a weight times its fan-in that keeps E[x²] through a layer and the ReLU behind it
(He et al. 2015, arXiv 1502.01852)."""

LINEAR_GAIN = 1.0
"""The same for a layer with nothing behind it."""


class Network:
    """A network on the way: its nodes, its parameters and the generator of its initial weights.

    Every node is called what its caller says and gives one value, `<name>_out`. The input is "x".
    Weights are uniform with mean 0 and variance gain / fan-in and biases 0, so that activations
    stay O(1); a builder that draws others uses `rng`. The same seed gives the same weights, bit for
    bit.
    """

    def __init__(self, name: str, seed: int) -> None:
        self.name = name
        self.nodes: list[onnx.NodeProto] = []
        self.parameters: list[TensorProto] = []
        self.rng = np.random.default_rng(seed)

    def conv(
        self,
        name: str,
        x: str,
        channels: tuple[int, int],
        kernel: int,
        *,
        stride: int = 1,
        pad: int | None = None,
        group: int = 1,
        bias: bool = False,
        gain: float = RELU_GAIN,
    ) -> str:
        """Square 2-D convolution; channels: (in, out); pad: all around, by default kernel // 2."""
        before, after = channels
        shape = (after, before // group, kernel, kernel)
        inputs = [x, self._weight(name, shape, shape[1] * kernel**2, gain)]
        inputs += [self._constant(f"{name}.bias", after, 0.0)] if bias else []
        return self.node(
            "Conv",
            name,
            *inputs,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[kernel // 2 if pad is None else pad] * 4,
            group=group,
        )

    def up_conv(self, name: str, x: str, channels: tuple[int, int]) -> str:
        """ConvTranspose 2 × 2 with stride 2 and a bias: twice the size, each input used once."""
        before, after = channels
        weight = self._weight(name, (before, after, 2, 2), before, LINEAR_GAIN)
        bias = self._constant(f"{name}.bias", after, 0.0)
        return self.node(
            "ConvTranspose", name, x, weight, bias, kernel_shape=[2, 2], strides=[2, 2]
        )

    def dense(
        self,
        name: str,
        x: str,
        units: tuple[int, int],
        *,
        bias: bool = True,
        gain: float = RELU_GAIN,
    ) -> str:
        """Fully connected layer, x · Wᵀ (+ b); units: (in, out)."""
        before, after = units
        inputs = [x, self._weight(name, (after, before), before, gain)]
        inputs += [self._constant(f"{name}.bias", after, 0.0)] if bias else []
        return self.node("Gemm", name, *inputs, transB=1)

    def batch_norm(self, name: str, x: str, channels: int, scale: float = 1.0) -> str:
        """Batch norm with statistics (0, 1): at first it only multiplies by `scale`."""
        parameters = {"scale": scale, "bias": 0.0, "mean": 0.0, "var": 1.0}
        inputs = [self._constant(f"{name}.{k}", channels, v) for k, v in parameters.items()]
        return self.node("BatchNormalization", name, x, *inputs)

    def node(self, op_type: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Any operator with one output."""
        out = f"{name}_out"
        self.nodes.append(helper.make_node(op_type, inputs, [out], name=name, **attributes))
        return out

    def relu(self, name: str, x: str) -> str:
        """max(x, 0)."""
        return self.node("Relu", name, x)

    def relu6(self, name: str, x: str) -> str:
        """min(max(x, 0), 6), as exporters write it."""
        for limit, value in (("zero", 0.0), ("six", 6.0)):
            if all(parameter.name != limit for parameter in self.parameters):
                self.parameters.append(numpy_helper.from_array(np.array(value, np.float32), limit))
        return self.node("Clip", name, x, "zero", "six")

    def add(self, name: str, a: str, b: str) -> str:
        """a + b, of one shape."""
        return self.node("Add", name, a, b)

    def concat(self, name: str, *values: str) -> str:
        """The channels of all values, one after the other."""
        return self.node("Concat", name, *values, axis=1)

    def max_pool(self, name: str, x: str, kernel: int, stride: int, pad: int = 0) -> str:
        """Max pooling over square windows."""
        return self.node(
            "MaxPool",
            name,
            x,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[pad] * 4,
        )

    def global_pool(self, name: str, x: str) -> str:
        """Mean over the whole image, flat: [N, C, H, W] -> [N, C]."""
        return self.flatten(f"{name}_flat", self.node("GlobalAveragePool", name, x))

    def flatten(self, name: str, x: str) -> str:
        """[N, C, H, W] -> [N, C·H·W]."""
        return self.node("Flatten", name, x, axis=1)

    def finish(self, out: str, sample: Sequence[int], output: Sequence[int]) -> onnx.ModelProto:
        """Return the model "x" [N, *sample] in [0, 1] -> "logits" [N, *output], made by `out`."""
        last = self.nodes[-1]
        assert list(last.output) == [out], "the network ends with its last node"
        last.output[0] = "logits"
        return finished_model(self.name, self.nodes, self.parameters, sample, output)

    # -----------------------------------------------------------------------------------------

    def _weight(self, layer: str, shape: tuple[int, ...], fan_in: int, gain: float) -> str:
        weight = self.rng.random(shape, np.float32)
        weight -= np.float32(0.5)
        weight *= np.float32((12 * gain / fan_in) ** 0.5)
        self.parameters.append(numpy_helper.from_array(weight, f"{layer}.weight"))
        return f"{layer}.weight"

    def _constant(self, name: str, size: int, value: float) -> str:
        self.parameters.append(numpy_helper.from_array(np.full(size, value, np.float32), name))
        return name
