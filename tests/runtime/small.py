"""Small programs and data sets that tests of training share."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.runtime.data import Dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import EpochMetrics, Progress
from rpucc.runtime.trainer import Trainer
from rpucc.target.load import preset_text
from rpucc.target.target import Target


def tiny_cnn(batch: int | str = "N") -> Any:
    """Conv 3×3, ReLU, max pool, Gemm on [batch, 1, 8, 8]; three classes."""
    rng = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> TensorProto:
        values = np.clip(rng.normal(size=shape) * 0.3, -0.55, 0.55)  # within the devices' bounds
        return numpy_helper.from_array(values.astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "c.w", "c.b"], ["c_out"], name="c", kernel_shape=[3, 3]),
        helper.make_node("Relu", ["c_out"], ["r"], name="r"),
        helper.make_node("MaxPool", ["r"], ["p"], name="p", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "fc.w", "fc.b"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 1, 8, 8])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [weights("c.w", 4, 1, 3, 3), weights("c.b", 4), weights("fc.w", 3, 36), weights("fc.b", 3)],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def centred(batch: int = 4) -> Any:
    """A Gemm on [batch, 6] minus the batch's mean: it cannot run with another batch size."""
    rng = np.random.default_rng(4)
    nodes = [
        helper.make_node("ReduceMean", ["x", "axes"], ["mean"], name="mean", keepdims=1),
        helper.make_node("Sub", ["x", "mean"], ["c"], name="c"),
        helper.make_node("Gemm", ["c", "fc.w"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "centred",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 6])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, 3])],
        [
            numpy_helper.from_array(rng.normal(size=(3, 6)).astype(np.float32), "fc.w"),
            numpy_helper.from_array(np.array([0], np.int64), "axes"),
        ],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


@cache
def tiny(target: str = "rpu-managed", rules: str = "", *overrides: str) -> rpucc.Program:
    """The tiny CNN for a preset with further TOML text (rules of layers) and overrides."""
    chosen = Target.from_toml(preset_text(target) + rules)
    return rpucc.compile(tiny_cnn(), chosen, overrides=overrides, verify=False)


def tiny_data(n: int = 23, seed: int = 0, dtype: Any = np.uint8) -> Dataset:
    """Random 8×8 images whose label shows in their brightness."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n + 11)
    x = rng.integers(0, 86, (n + 11, 1, 8, 8)) + 84 * y[:, None, None, None]
    stored = x.astype(np.uint8) if dtype == np.uint8 else (x / 255).astype(dtype)
    return Dataset("tiny", stored[:n], y[:n], stored[n:], y[n:])


def train(
    program: rpucc.Program, data: Dataset, *, seed: int = 0, threads: int = 1, **how: Any
) -> tuple[Machine, list[EpochMetrics]]:
    """A machine after `fit`, and its metrics."""
    machine = Machine(program, seed)
    options = {"epochs": 2, "batch_size": 5, "lr": 0.05, **how}
    return machine, Trainer(machine, threads).fit(data, **options)


def on_progress(tell: Callable[[Progress], None]) -> SimpleNamespace:
    """A callback that is told where training stands."""
    return SimpleNamespace(on_progress=tell)
