"""What rpucc runs in the benchmarks: single tiles as programs, AlexNet and ResNet-18 as ONNX.

A tile program holds the three cycles of one weight matrix as bare nodes of the rpu domain, so
that each of them can be run alone. Not for measuring: that is `ours.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from rpucc.program import Program
from rpucc.step_contract import StepContract
from rpucc.target import Target

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


def tile_program(
    R: int, C: int, positions: int = 1, update: str = "bl10_um", bl: int = 0, cuts: int = 1
) -> Program:
    """A program of one weight matrix [R, C]: x -> y, d -> z, and the update of (x, d, lr).

    positions: P, vectors a sample as a convolution has them; x is [N, P, C]. bl: another BL than
    the policy's; cuts: row blocks and column segments of the grid.
    """
    chosen = target(update)
    policy = chosen.for_layer("tile")
    row_cuts, col_cuts = [R * i // cuts for i in range(cuts + 1)], _cuts(C, cuts)
    grid: dict[str, Any] = {
        "row_cuts": row_cuts, "col_cuts": col_cuts, "first_tile": 0,
    }  # fmt: skip
    periphery = policy.periphery
    read = {
        **grid,
        "noise": periphery.read_noise,
        "bound": periphery.bound,
        "dac_bits": periphery.dac_bits,
        "adc_bits": periphery.adc_bits,
    }
    managed = policy.management

    def node(op: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
        domain = "" if op == "ReduceSum" else "rpu"
        name = f"{op}_{outputs[0]}"
        return helper.make_node(op, inputs, outputs, name=name, domain=domain, **attributes)

    forward = "BoundedRead" if managed.bound_forward else "Read"
    halvings = {"max_halvings": managed.max_halvings} if managed.bound_forward else {}
    backward = managed.noise_backward != "never"
    nodes = [
        node(forward, ["x", "W"], ["part"], **read, **halvings),
        node("ReduceSum", ["part", "axes"], ["y"], keepdims=0),
        *([node("NoiseManage", ["d"], ["ds", "s"], cuts=row_cuts)] if backward else []),
        node("Read", ["ds" if backward else "d", "W"], ["zpart"], transpose=1, **read),
        *([node("Rescale", ["zpart", "s"], ["zscaled"])] if backward else []),
        node("ReduceSum", ["zscaled" if backward else "zpart", "axes"], ["z"], keepdims=0),
        node(
            "Update", ["W", "x", "d", "lr"], ["W2"], **grid, pulsed=int(policy.update.pulsed),
            bl=bl or policy.update.bl, update_management=int(policy.update.update_management),
            update_bl_management=int(policy.update.update_bl_management),
        ),
    ]  # fmt: skip
    lines = ["N", positions] if positions > 1 else ["N"]

    def info(name: str, shape: Sequence[int | str]) -> Any:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    weights = (np.random.default_rng(0).random((R, C), np.float32) - 0.5) * np.float32(0.4)
    graph = helper.make_graph(
        nodes,
        "tile",
        [info("x", [*lines, C]), info("d", [*lines, R]), info("lr", [])],
        [info("y", [*lines, R]), info("z", [*lines, C]), info("W2", [R, C])],
        [
            numpy_helper.from_array(weights, "W"),
            numpy_helper.from_array(np.array([-2], np.int64), "axes"),
        ],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("rpu", 1)]
    model = ir.from_proto(helper.make_model(graph, opset_imports=opsets, ir_version=10))
    model.metadata_props["rpucc.target"] = chosen.to_json()
    StepContract.inference(model).write(model)
    for item in model.graph:
        item.metadata_props["rpucc.layer"] = "tile"
    return Program(model)


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
