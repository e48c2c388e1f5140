"""A matrix that several places of the network read: every read has its own noise."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.passes.execute import random_feeds
from rpucc.runtime.backend import Backend
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.machine import Machine

from ..passes.importer_models import net
from ..passes.tied import TIED
from .stock import assert_agree, ideal, run_executor, stock_values, training_outputs


def test_two_reads_of_one_matrix_do_not_share_their_noise():
    weight = np.random.default_rng(0).uniform(-0.1, 0.1, (6, 5)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["x", "w"], ["a"], name="first"),
            helper.make_node("MatMul", ["x", "w"], ["b"], name="second"),
            helper.make_node("Concat", ["a", "b"], ["y"], name="both", axis=1),
        ],
        "shared",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    x = np.random.default_rng(1).uniform(0, 1, (400, 6)).astype(np.float32)
    overrides = ["periphery.dac_bits=0", "periphery.adc_bits=0"]
    program = rpucc.compile(model, "rpu-managed", training=False, overrides=overrides)
    outputs = rpucc.Trainer(rpucc.Machine(program, seed=3)).predict(x)
    noise = outputs - np.hstack([x @ weight, x @ weight])
    first, second = noise[:, :5].ravel(), noise[:, 5:].ravel()
    assert 0.05 < first.std() < 0.07
    correlation = np.corrcoef(first, second)[0, 1]
    assert abs(correlation) < 5 / np.sqrt(first.size)


def test_a_transposed_read_has_noise_of_its_own_too():
    """In an evaluation both directions draw for the same purpose."""
    size = 8
    model = net(
        """(float[N,8] x) => (float[N,16] y) {
            [one] a = Gemm (x, w) [t] u = Transpose <perm = [1, 0]> (w) [two] b = Gemm (x, u)
            y = Concat <axis = 1> (a, b)
        }""",
        w=(np.random.default_rng(0).uniform(-0.1, 0.1, (size, size)).astype(np.float32)),
    )
    x = np.random.default_rng(1).uniform(0, 1, (400, size)).astype(np.float32)
    quiet = ["periphery.dac_bits=0", "periphery.adc_bits=0"]
    program = rpucc.compile(model, "rpu-managed", training=False, overrides=quiet)
    machine = rpucc.Machine(program, seed=3)
    assert len(machine.arrays) == 1
    (array,) = machine.arrays.values()
    noise = rpucc.Trainer(machine).predict(x) - np.hstack([x @ array.weights.T, x @ array.weights])
    first, second = noise[:, :size].ravel(), noise[:, size:].ravel()
    assert 0.05 < first.std() < 0.07
    assert 0.05 < second.std() < 0.07
    assert abs(np.corrcoef(first, second)[0, 1]) < 5 / np.sqrt(first.size)


@pytest.mark.parametrize("size", [(100, 60), (7, 5)])
@pytest.mark.parametrize("name", TIED)
def test_an_ideal_step_is_that_of_onnxruntime(
    backend: Backend, name: str, size: tuple[int, int]
) -> None:
    habit = TIED[name]
    program = ideal(habit.build(), *size, loss=habit.loss)
    feeds = random_feeds(program.model, seed=1)
    outputs = training_outputs(program)
    executor = run_executor(Machine(program), feeds, outputs, 2, backend=backend)
    compared = assert_agree(executor, stock_values(program.model, feeds))
    assert set(outputs) <= compared


def test_pulses_move_a_shared_matrix_as_far_as_its_exact_update_does() -> None:
    """The mean of many pulsed steps from the same weights, each with other devices and draws."""
    model = net(
        """(float[N,6] x) => (float[N,6] y) {
            [enc] a = Gemm <transB = 1> (x, w, c) h = Tanh (a)
            [t] u = Transpose <perm = [1, 0]> (w) [dec] y = Gemm <transB = 1> (h, u, d)
        }""",
        w=np.random.default_rng(0).uniform(-0.25, 0.25, (4, 6)).astype(np.float32),
        c=np.full(4, 0.1, np.float32),
        d=np.full(6, 0.1, np.float32),
    )
    plain = ["read_noise=0", "bound=0", "dac_bits=0", "adc_bits=0"]
    overrides = ["update.bl=40", "management.bound_forward=false"]
    overrides += [f"periphery.{each}" for each in plain]
    program = rpucc.compile(model, "rpu-baseline", loss="mse", verify=False, overrides=overrides)
    feeds = random_feeds(program.model, seed=1)
    updated = program.updates["enc.W"]
    exact = stock_values(program.model, feeds)[updated]
    moved = []
    for seed in range(300):
        machine = Machine(program, seed)
        before = machine.arrays["enc.W"].weights.copy()
        run_executor(machine, feeds, [updated], 2)
        moved.append(machine.arrays["enc.W"].weights - before)
    start = program.model.graph.initializers["enc.W"].const_value.numpy()
    found, wanted = np.mean(moved, axis=0), exact - start
    error = np.std(moved, axis=0) / np.sqrt(len(moved))
    assert np.abs(wanted).max() > 10 * error.max()
    assert np.all(np.abs(found - wanted) < 5 * error + 1e-5)


def test_a_siamese_network_trains_on_real_devices() -> None:
    rng = np.random.default_rng(0)
    x = rng.random((48, 2, 6, 6)).astype(np.float32)
    x[::2, 1] = x[::2, 0]
    labels = np.arange(48) % 2
    data = Dataset("pairs", x, labels, x, labels)
    program = rpucc.compile(TIED["siamese"].build(), "rpu-managed", verify=False)
    weights = []
    for _ in range(2):
        machine = rpucc.Machine(program, seed=1)
        conv = next(iter(machine.arrays.values()))
        start = conv.weights.copy()
        rpucc.Trainer(machine).fit(data, epochs=1, batch_size=1)
        weights.append(conv.weights)
        assert np.isfinite(weights[-1]).all()
        assert np.any(weights[-1] != start)
    np.testing.assert_array_equal(*weights)
