"""What rpucc runs in the benchmarks: single arrays, AlexNet and ResNet-18 as ONNX.

Not for measuring: that is `ours.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.algorithms import CELLS, FAST_LR, GRANULARITY, RERAM_ES, TRANSFERS
from rpucc.runtime.standalone import StandaloneArray
from rpucc.target.target import Target

UPDATES: dict[str, tuple[str, ...]] = {
    "ideal": (),
    "bl10": (),
    "bl10_um": ("update.update_management=true",),
    "bl1_um": ("update.bl=1", "update.update_management=true"),
    "bl31_um_ublm": (
        "update.bl=31",
        "update.update_management=true",
        "update.update_bl_management=true",
    ),
}
"""Short name of an update policy to what it overrides in the preset `rpu-managed`."""


def target(update: str) -> Target:
    """The 2017 paper's arrays with NM and BM and this update policy, or the ideal ones."""
    return Target.load("ideal" if update == "ideal" else "rpu-managed", UPDATES[update])


def algorithm_target(algorithm: str, device: str) -> Target:
    """The same arrays of these devices, trained by an algorithm, with BL 31, UM and UBLM.

    Raises TargetError where rpucc has not the one or the other.
    """
    if device == "exp-step":
        own = {**RERAM_ES, "asymmetry": "one-sided", "consistency": "mirror"}
    else:
        own = {"dw_min": 0.001, "w_max": 0.6, "w_min": -0.6}
    overrides = [f"device.{key}={json.dumps(value)}" for key, value in own.items()]
    cell: dict[str, Any] = {}
    model = CELLS.get(algorithm, algorithm)
    if algorithm in TRANSFERS:
        every, by_minibatch = TRANSFERS[algorithm]
        cell = {
            "transfer_every": every, "transfer_by_minibatch": by_minibatch, "shift_fast": False,
        }  # fmt: skip
    if algorithm in ("tiki-taka-2", "agad"):
        cell |= {"fast_lr": FAST_LR, "auto_granularity": GRANULARITY}
    if model:
        overrides += [f"cell.model={model}"]
        overrides += [f"cell.{key}={json.dumps(value)}" for key, value in cell.items()]
    chosen = (f"device.model={device}", *overrides, *UPDATES["bl31_um_ublm"])
    return Target.load("rpu-managed", chosen)


def tile_array(
    R: int, C: int, update: str = "bl10_um", bl: int = 0, cuts: int = 1, device: str = ""
) -> StandaloneArray:
    """An array with weights [R, C] within ±0.2; bl: another BL than the policy's.

    cuts: row blocks and column segments; device: a model of `algorithms.DEVICES`.
    """
    chosen = algorithm_target("sgd", device) if device else target(update)
    # The inputs lie within the range of the converters.
    overrides = ["management.noise_forward=never", f"update.bl={bl or chosen.update.bl}"]
    policy = Target.load(chosen, overrides).for_layer("tile")
    array = StandaloneArray(
        {"model": policy.device.model, **policy.device.parameters}, R, C, seed=1,
        row_cuts=_cuts(R, cuts), col_cuts=_cuts(C, cuts), periphery=policy.periphery,
        management=policy.management, update=policy.update,
    )  # fmt: skip
    array.program((np.random.default_rng(0).random((R, C), np.float32) - 0.5) * np.float32(0.4))
    return array


def _cuts(lines: int, pieces: int) -> list[int]:
    return [lines * i // pieces for i in range(pieces + 1)]


class Layers:
    """Writes an ONNX network layer by layer: conv, dense, relu and so on; names are counted."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name, self.shape = name, shape
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[TensorProto] = []
        self._rng = np.random.default_rng(0)

    def add(self, op: str, *inputs: str, **attributes: Any) -> str:
        """A node; returns the name of its output."""
        name = f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [f"{name}_out"], name=name, **attributes))
        return f"{name}_out"

    def _weight(self, *shape: int) -> str:
        limit = np.float32(1 / np.sqrt(np.prod(shape[1:])))  # as PyTorch draws them
        values: NDArray[np.float32] = (self._rng.random(shape, np.float32) * 2 - 1) * limit
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def conv(
        self, x: str, inputs: int, outputs: int, size: int, stride: int = 1, pad: int = 0
    ) -> str:
        """A square convolution without bias."""
        return self.add(
            "Conv", x, self._weight(outputs, inputs, size, size), kernel_shape=[size, size],
            strides=[stride, stride], pads=[pad] * 4,
        )  # fmt: skip

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        """A fully connected layer without bias."""
        return self.add("Gemm", x, self._weight(outputs, inputs), transB=1)

    def model(self, logits: str, classes: int) -> onnx.ModelProto:
        """The finished network, "x" [N, ...] in [0, 1] -> logits [N, classes]."""
        make = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [make("x", TensorProto.FLOAT, ["N", *self.shape])],
            [make(logits, TensorProto.FLOAT, ["N", classes])],
            self.weights,
        )
        opset = helper.make_opsetid("", 21)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def alexnet() -> onnx.ModelProto:
    """AlexNet as the 2017 paper counts it: ungrouped, no biases, 227 x 227 colour images."""
    net = Layers("alexnet", (3, 227, 227))
    pool = {"kernel_shape": [3, 3], "strides": [2, 2]}
    x = net.add("MaxPool", net.add("Relu", net.conv("x", 3, 96, 11, stride=4)), **pool)
    x = net.add("MaxPool", net.add("Relu", net.conv(x, 96, 256, 5, pad=2)), **pool)
    x = net.add("Relu", net.conv(x, 256, 384, 3, pad=1))
    x = net.add("Relu", net.conv(x, 384, 384, 3, pad=1))
    x = net.add("MaxPool", net.add("Relu", net.conv(x, 384, 256, 3, pad=1)), **pool)
    x = net.add("Relu", net.dense(net.add("Flatten", x), 9216, 4096))
    x = net.add("Relu", net.dense(x, 4096, 4096))
    return net.model(net.dense(x, 4096, 1000), 1000)


def resnet18() -> onnx.ModelProto:
    """ResNet-18 for 32 x 32 colour images, batch normalisation left out (as if folded)."""
    net = Layers("resnet18", (3, 32, 32))
    x, channels = net.add("Relu", net.conv("x", 3, 64, 3, pad=1)), 64
    for stage, width in enumerate((64, 128, 256, 512)):
        for block in range(2):
            stride = 2 if stage and not block else 1
            y = net.add("Relu", net.conv(x, channels, width, 3, stride, 1))
            y = net.conv(y, width, width, 3, 1, 1)
            short = x if channels == width else net.conv(x, channels, width, 1, stride)
            x, channels = net.add("Relu", net.add("Add", y, short)), width
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    return net.model(net.dense(x, 512, 10), 10)
