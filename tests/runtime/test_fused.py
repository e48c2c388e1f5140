"""Fused instructions compute what the nodes they stand for compute, and hide only what they may."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.errors import DataError
from rpucc.runtime.backend import Backend
from rpucc.runtime.cpu import CPU
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine

from .stock import assert_agree, run_executor, stock_values, training_feeds, training_outputs


def network(activation: str, pool: dict[str, Any] | None, *, after: str = "") -> Any:
    """Conv, activation, pool, Conv, activation, Gemm, activation, Gemm on [N, 2, 9, 9]."""
    rng = np.random.default_rng(3)
    node = helper.make_node

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((rng.normal(size=shape) * 0.3).astype(np.float32), name)

    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c1"], name="c1", kernel_shape=[3, 3]),
        node(activation, ["c1"], ["a1"], name="a1"),
    ]
    top = "a1"
    if pool is not None:
        nodes.append(node("MaxPool", ["a1"], ["p1"], name="p1", **pool))
        top = "p1"
    if after == "skip":  # the image before the pool is looked at by another layer
        nodes.append(node("GlobalAveragePool", ["a1"], ["gap"], name="gap"))
        nodes.append(node("Add", [top, "gap"], ["s1"], name="s1"))
        top = "s1"
    nodes += [
        node("Conv", [top, "w2", "b2"], ["c2"], name="c2", kernel_shape=[2, 2]),
        node(activation, ["c2"], ["a2"], name="a2"),
        node("GlobalAveragePool", ["a2"], ["g2"], name="g2"),
        node("Flatten", ["g2"], ["f"], name="f"),
        node("Gemm", ["f", "w3", "b3"], ["c3"], name="c3", transB=1),
        node(activation, ["c3"], ["a3"], name="a3"),
        node("Gemm", ["a3", "w4", "b4"], ["logits"], name="c4", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "fusable",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 9, 9])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [
            weights("w1", 4, 2, 3, 3), weights("b1", 4), weights("w2", 5, 4, 2, 2),
            weights("b2", 5), weights("w3", 6, 5), weights("b3", 6), weights("w4", 10, 6),
            weights("b4", 10),
        ],
    )  # fmt: skip
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


POOLS: dict[str, dict[str, Any] | None] = {
    "none": None,
    "even": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "overlapping": {"kernel_shape": [3, 3], "strides": [2, 2]},
    "padded": {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1]},
    "ceil": {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
}


@pytest.mark.parametrize("pool", list(POOLS))
@pytest.mark.parametrize("activation", ["Tanh", "Relu", "Sigmoid", "Elu"])
def test_fused_equals_unfused_and_onnxruntime(backend: Backend, activation: str, pool: str) -> None:
    if activation == "Elu":  # an operator without gradient here: only forward
        model = network("Elu", POOLS[pool])
        program = rpucc.compile(model, "ideal", verify=False, training=False)
        outputs = [program.output]
    else:
        program = rpucc.compile(network(activation, POOLS[pool]), "ideal", verify=False)
        outputs = training_outputs(program)
    feeds = training_feeds(program, 3) if program.training else {"x": feed(3)}
    plain = run_executor(Machine(program), feeds, outputs, 3, backend=backend)
    fused = run_executor(Machine(program), feeds, outputs, 3, fuse=True, backend=backend)
    if activation != "Elu" and backend is CPU:
        assert len(fused._instructions) <= len(plain._instructions) - 6
    everything = {name: plain[name] for name in plain.names()}
    assert set(outputs) <= assert_agree(fused, everything)
    assert_agree(fused, stock_values(program.model, feeds))
    for name, array in fused.machine.arrays.items():
        np.testing.assert_allclose(
            array.weights, plain.machine.arrays[name].weights, rtol=0, atol=1e-5
        )


def feed(batch: int) -> np.ndarray:
    return np.random.default_rng(1).uniform(size=(batch, 2, 9, 9)).astype(np.float32)


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_a_lenet_step_is_few_instructions(target: str) -> None:
    program = rpucc.compile("lenet", target, verify=False)
    executor = Executor(Machine(program), 2, training_outputs(program))
    assert len(executor._instructions) + len(executor._commits) <= 23
    assert "tanh1_out" not in executor
    assert "tanh3_out" in executor  # the update reads it
    inference = Executor(Machine(program), 2, ["logits"], evaluating=True)
    assert len(inference._instructions) <= 11


def test_a_wanted_value_inside_stays_visible() -> None:
    program = rpucc.compile("lenet", "ideal", verify=False)
    feeds = training_feeds(program, 2)
    expected = stock_values(program.model, feeds)
    hidden = ["tanh1_out", "conv2.t", "conv1_out.grad", "pool2_out.indices", "loss.grad.softmax"]
    for name in hidden:
        executor = run_executor(
            Machine(program), feeds, [*training_outputs(program), name], 2, fuse=True
        )
        assert name in assert_agree(executor, expected)


def test_an_image_that_others_look_at_is_kept() -> None:
    program = rpucc.compile(network("Relu", POOLS["even"], after="skip"), "ideal", verify=False)
    feeds = training_feeds(program, 2)
    executor = run_executor(Machine(program), feeds, training_outputs(program), 2, fuse=True)
    assert "a1" in assert_agree(executor, stock_values(program.model, feeds))


@pytest.mark.parametrize("label", [-1, 10])
@pytest.mark.parametrize("fuse", [False, True])
def test_a_label_that_is_no_class_is_refused(backend: Backend, label: int, fuse: bool) -> None:
    program = rpucc.compile("mlp", "ideal", verify=False)
    executor = Executor(Machine(program), 3, training_outputs(program), fuse=fuse, backend=backend)
    executor["labels"][...] = [0, label, 1]
    with pytest.raises(DataError, match=f"label {label} lies outside the model's classes 0 to 9"):
        executor.run()
