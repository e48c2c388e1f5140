"""Updates of more slots than a word has bits: several trains a position, one gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc

from .bounds import deviations, z_score
from .stock import run_executor, stock_values, training_feeds, training_outputs

MACHINES = 80


def grouped() -> Any:
    """A convolution of two groups and a Gemm on [N, 2, 5, 5]; ten classes."""
    rng = np.random.default_rng(3)

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((rng.normal(size=shape) * 0.3).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "c.w"], ["c_out"], name="c", group=2),
        helper.make_node("Tanh", ["c_out"], ["t"], name="t"),
        helper.make_node("Flatten", ["t"], ["f"], name="f"),
        helper.make_node("Gemm", ["f", "fc.w"], ["logits"], name="fc", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "grouped",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 5, 5])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 10])],
        [weights("c.w", 4, 1, 3, 3), weights("fc.w", 10, 36)],
    )
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("bl", [40, 100])
def test_the_mean_step_is_gradient_descent(bl: int, batch: int) -> None:
    """The mean change of weights over many machines, against the exact step of onnxruntime.

    A train left out of BL 40 would lose 22 % of every change, a position of another sample or
    group would change other weights.
    """
    # Cx = Cd = 0.5, so that no probability of a line is clipped.
    how = ["update.pulsed=true", f"update.bl={bl}", "device.dw_min=0.0001", "mapping.bias=array"]
    program = rpucc.compile(grouped(), "ideal", overrides=how, verify=False)
    exact = rpucc.compile(grouped(), "ideal", overrides=["mapping.bias=array"], verify=False)
    feeds = training_feeds(program, batch, lr=0.25 * bl * 1e-4)
    start = {weight: rpucc.Machine(exact).arrays[weight].weights.copy() for weight in exact.updates}
    after = stock_values(exact.model, feeds)
    changes = {weight: np.empty((MACHINES, *W.shape)) for weight, W in start.items()}
    for seed in range(MACHINES):
        machine = rpucc.Machine(program, seed=seed)
        run_executor(machine, feeds, training_outputs(program), batch)
        for weight, W in start.items():
            changes[weight][seed] = machine.arrays[weight].weights - W
    assert len(changes) == 2
    for weight, updated in exact.updates.items():
        expected = after[updated].reshape(start[weight].shape) - start[weight]
        # Along the gradient and along directions that nothing prefers.
        along = np.random.default_rng(1).normal(size=(20, expected.size))
        along = np.vstack([along, expected.reshape(1, -1) / np.sum(expected**2)])
        found = changes[weight].reshape(MACHINES, -1) @ along.T
        assert found[:, -1].std() / np.sqrt(MACHINES) < 0.03  # a lost train is 7 of these
        assert z_score(found, expected.reshape(-1) @ along.T).max() < deviations(len(along))
