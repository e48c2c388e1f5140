"""Executors: pruning, chains, buffers, batches, and what they refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.errors import RpuccError
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine

from .small import centred, tiny, tiny_cnn
from .stock import assert_agree, assert_close, run_executor, stock_values, training_outputs


def feeds_of(batch: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    return {
        "x": rng.uniform(size=(batch, 1, 8, 8)).astype(np.float32),
        "labels": rng.integers(0, 3, batch),
        "lr": np.array(0.1, np.float32),
    }


def branching() -> Any:
    """Two convolutions and a skip read the same values; a digital bias is added behind one."""
    rng = np.random.default_rng(1)

    def weights(name: str, *shape: int) -> TensorProto:
        return numpy_helper.from_array((rng.normal(size=shape) * 0.3).astype(np.float32), name)

    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["a"], name="c1", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Relu", ["a"], ["r"], name="r1"),
        node("Conv", ["r", "w2"], ["b"], name="c2", kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        node("Conv", ["r", "w3", "b3"], ["c"], name="c3", kernel_shape=[1, 1]),
        node("Sum", ["b", "c", "r"], ["d"], name="sum"),
        node("Tanh", ["d"], ["e"], name="tanh"),
        node("AveragePool", ["e"], ["q"], name="pool", kernel_shape=[2, 2], strides=[2, 2]),
        node("GlobalAveragePool", ["q"], ["g"], name="gap"),
        node("Squeeze", ["g", "axes"], ["s"], name="squeeze"),
        node("MatMul", ["s", "wf"], ["m"], name="fc"),
        node("Add", ["m", "bf"], ["y"], name="bias"),
    ]
    axes = numpy_helper.from_array(np.array([-1, 2], np.int64), "axes")
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        [weights("w1", 4, 2, 3, 3), weights("b1", 4), weights("w2", 4, 4, 3, 3),
         weights("w3", 4, 4, 1, 1), weights("b3", 4), weights("wf", 4, 3), weights("bf", 3), axes],
    )  # fmt: skip
    opset = helper.make_opsetid("", 21)
    return helper.make_model(graph, opset_imports=[opset], ir_version=10)


@pytest.mark.parametrize("batch", [1, 4])
def test_branches_skips_and_shared_inputs(batch: int) -> None:
    program = rpucc.compile(branching(), "ideal", verify=False)
    rng = np.random.default_rng(2)
    feeds = {
        "x": rng.uniform(size=(batch, 2, 6, 6)).astype(np.float32),
        "labels": rng.integers(0, 3, batch),
        "lr": np.array(0.5, np.float32),
    }
    executor = run_executor(Machine(program), feeds, training_outputs(program), batch)
    common = assert_agree(executor, stock_values(program.model, feeds))
    assert common >= {"a", "b", "c", "d", "q", "y", "loss", *program.updates.values()}
    assert_agree(executor, stock_values(branching(), feeds))


def test_noise_management_everywhere_is_fused_and_runs() -> None:
    overrides = ["management.noise_forward=always", "periphery.read_noise=0"]
    quiet = [*overrides, "periphery.dac_bits=0", "periphery.adc_bits=0", "device.w_max=9",
             "device.w_min=-9"]  # fmt: skip
    program = rpucc.compile(branching(), "rpu-managed", overrides=quiet, verify=False)
    x = np.random.default_rng(2).uniform(size=(3, 2, 6, 6)).astype(np.float32)
    executor = run_executor(Machine(program), {"x": x}, [program.output], 3)
    # Without noise, converters and saturation, scaling up and down again changes nothing.
    assert_agree(executor, stock_values(branching(), {"x": x}))
    assert executor.tallies.reads[0] >= 3 * (36 * 3 + 1) - 3  # an all-zero vector is not read
    assert executor.tallies.reads[1:].tolist() == [0, 0]


def test_only_what_is_wanted_is_computed() -> None:
    machine = Machine(tiny("ideal"))
    executor = Executor(machine, 1, ["p"])
    assert "p" in executor
    assert "logits" not in executor
    with pytest.raises(RpuccError, match="'logits' is not computed by this executor"):
        executor["logits"]
    before = machine.arrays["c.W"].weights.copy()
    executor.run()
    np.testing.assert_array_equal(machine.arrays["c.W"].weights, before)


def test_an_unknown_value_is_one_clear_line() -> None:
    machine = Machine(tiny("ideal"))
    executor = Executor(machine, 1, ["p"])
    assert "nothing" not in executor
    with pytest.raises(RpuccError, match="no value named 'nothing'"):
        Executor(machine, 1, ["nothing"])
    with pytest.raises(RpuccError, match="no value named 'nothing'"):
        executor["nothing"]


def test_values_inside_a_chain_can_be_wanted() -> None:
    program = tiny("ideal")
    feeds = feeds_of(2)
    wanted = ["c.cols", "c.x1", "logits"]
    executor = run_executor(Machine(program), feeds, wanted, 2)
    assert assert_agree(executor, stock_values(program.model, feeds)) >= set(wanted)


def test_a_wanted_partial_sum_is_refused_in_one_line() -> None:
    with pytest.raises(RpuccError, match="Read followed by the ReduceSum") as caught:
        Executor(Machine(tiny("ideal")), 1, ["c.part"])
    assert "\n" not in str(caught.value)


def test_a_batch_gives_each_sample_what_it_gives_alone() -> None:
    program = tiny("ideal")
    feeds = feeds_of(7)
    machine = Machine(program)
    together = run_executor(machine, feeds, ["logits"], 7)["logits"]
    for i in range(7):
        alone = run_executor(machine, {"x": feeds["x"][i : i + 1]}, ["logits"], 1)["logits"]
        assert_close(alone, together[i : i + 1], f"sample {i}")


def test_the_loss_is_the_mean_and_so_is_the_step() -> None:
    program = tiny("ideal")
    feeds = feeds_of(4)
    twice = {name: np.concatenate([a, a]) if a.ndim else a for name, a in feeds.items()}
    first, second = Machine(program), Machine(program)
    once = run_executor(first, feeds, training_outputs(program), 4)
    doubled = run_executor(second, twice, training_outputs(program), 8)
    assert_close(doubled["loss"], once["loss"])
    for name, array in first.arrays.items():
        assert_close(second.arrays[name].weights, array.weights, name)


@pytest.mark.parametrize("batch", [1, 5])
def test_a_file_of_a_fixed_batch_size_runs_with_any(batch: int) -> None:
    program = rpucc.compile(tiny_cnn(batch=2), "ideal", verify=False)
    feeds = feeds_of(batch)
    executor = run_executor(Machine(program), feeds, ["logits"], batch)
    assert executor["logits"].shape == (batch, 3)
    assert_agree(executor, stock_values(tiny_cnn(), feeds))


def test_a_model_that_mixes_its_samples_keeps_its_batch_size() -> None:
    program = rpucc.compile(centred(4), "ideal", verify=False)
    rng = np.random.default_rng(5)
    feeds = {
        "x": rng.uniform(size=(4, 6)).astype(np.float32),
        "labels": rng.integers(0, 3, 4),
        "lr": np.array(0.1, np.float32),
    }
    executor = run_executor(Machine(program), feeds, training_outputs(program), 4)
    assert assert_agree(executor, stock_values(program.model, feeds)) >= {"logits", "loss"}
    with pytest.raises(RpuccError, match="batches of exactly 4 samples, not 2"):
        Executor(Machine(program), 2, ["logits"])


def test_a_step_changes_weights_only_at_its_end() -> None:
    """All reads of a step see the same weights: the second layer's update waits for the first."""
    program = tiny("ideal")
    machine = Machine(program)
    before = {name: array.weights.copy() for name, array in machine.arrays.items()}
    feeds = feeds_of(3)
    executor = run_executor(machine, feeds, training_outputs(program), 3)
    backward = executor["f.grad"] if "f.grad" in executor else executor["fc.x1.grad"][:, :-1]
    expected = executor["logits.grad"] @ before["fc.W"][:, :-1]
    assert_close(backward, expected, "the error below fc")
    assert not np.array_equal(machine.arrays["fc.W"].weights, before["fc.W"])


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_a_step_allocates_no_buffers(target: str) -> None:
    executor = Executor(Machine(tiny(target)), 2, training_outputs(tiny(target)))
    before = {name: executor[name].ctypes.data for name in executor.names()}
    executor["x"][...] = 0.5
    executor["lr"][...] = 0.1
    for step in range(3):
        executor.run(2 * step)
    assert {name: executor[name].ctypes.data for name in executor.names()} == before


def test_samples_have_noise_of_their_own_and_a_step_can_be_repeated() -> None:
    executor = Executor(Machine(tiny(), 1), 2, ["logits"], evaluating=True)
    executor["x"][...] = 0.5
    results = []
    for sample in (0, 0, 1, 100):
        executor.run(sample)
        results.append(executor["logits"].copy())
    assert not np.array_equal(results[0][0], results[0][1])  # equal inputs, other noise
    np.testing.assert_array_equal(results[0], results[1])
    np.testing.assert_array_equal(results[0][1], results[2][0])  # sample 1, wherever it lies
    assert not np.array_equal(results[0], results[3])


def test_evaluation_has_noise_apart_from_training() -> None:
    logits = []
    for evaluating in (False, True):
        executor = Executor(Machine(tiny(), 1), 1, ["logits"], evaluating=evaluating)
        executor["x"][...] = 0.5
        executor.run(0)
        logits.append(executor["logits"].copy())
    assert not np.array_equal(*logits)


def test_updates_draw_anew_for_each_sample_and_can_be_repeated() -> None:
    program = tiny("rpu-managed")
    machine = Machine(program, 1)
    executor = Executor(machine, 1, training_outputs(program))
    start = {name: array.weights.copy() for name, array in machine.arrays.items()}
    results = []
    for sample in (0, 0, 1):
        for name, array in machine.arrays.items():
            array.visible[:] = start[name]
        for name, array in feeds_of(1).items():
            executor[name][...] = array
        executor.tallies.reset()
        executor.run(0)  # the same errors each time; only the update is of another sample
        for name, array in machine.arrays.items():
            array.visible[:] = start[name]
        executor.address.sample = sample
        for commit in executor._commits:
            commit()
        results.append({name: array.weights.copy() for name, array in machine.arrays.items()})
        assert executor.tallies.pulses > 0
    for name in start:
        np.testing.assert_array_equal(results[0][name], results[1][name])
        assert not np.array_equal(results[0][name], results[2][name])
