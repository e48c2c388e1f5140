"""Feedback alignment on arrays: its step, its matrices, and what stays of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.layers import analog_layers
from rpucc.runtime.feedback import draw
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .feedback import LR, SHAPES, feedback_matrices, network, samples, stepped
from .small import tiny, tiny_data, train

RANDOM = "update.feedback=random"
SMALL = ("array.rows=7", "array.cols=5")


def one_step(*overrides: str, target: str = "ideal") -> Machine:
    program = rpucc.compile(network(), target, overrides=[RANDOM, *overrides], verify=True)
    machine = Machine(program)
    x, labels = samples()
    Trainer(machine).fit((x, labels, x, labels), epochs=1, batch_size=len(x), lr=LR)
    return machine


@pytest.mark.parametrize(
    "overrides",
    [
        (),
        SMALL,
        ("mapping.bias=digital",),
        ("mapping.devices_per_weight=3", *SMALL),
        ("mapping.replicas=3",),
        ("mapping.weight_scaling=0.8",),
        ("mapping.weight_scaling=0.8", "mapping.weight_scaling_per=layer"),
    ],
    ids=" ".join,
)
def test_an_ideal_step_is_numpys(overrides: tuple[str, ...]) -> None:
    """However the matrices lie on arrays; numbers and size of the random ones are worked out."""
    found = one_step(*overrides).export().weights
    x, labels = samples()
    expected = stepped(feedback_matrices(), x, labels)
    for name, weights in expected.items():
        np.testing.assert_allclose(found[name], weights, atol=1e-5, err_msg=name)


def test_only_layers_that_ask_for_it_and_pass_errors_on_have_one() -> None:
    machine = one_step("layer.c.update.feedback=weights")
    held = {array.layer for array in machine.arrays.values()}
    assert held == {"a", "b", "c", "d", "b:feedback", "d:feedback"}
    x, labels = samples()
    B = feedback_matrices()
    B["c"] = np.asarray(rpucc.compile(network(), "ideal").export().weights["c_weight"])
    expected = stepped(B, x, labels)
    found = machine.export().weights
    for name, weights in expected.items():
        np.testing.assert_allclose(found[name], weights, atol=1e-5, err_msg=name)


def test_the_seed_of_a_layer_draws_its_matrix() -> None:
    def of(*overrides: str) -> dict[str, np.ndarray]:
        program = rpucc.compile(network(), "ideal", overrides=[RANDOM, *overrides], verify=False)
        return {a.layer: a.weights for a in Machine(program, seed=4).arrays.values()}

    first, other = of(), of("update.feedback_seed=1")
    alone = of("layer.b.analog=false", "layer.c.update.feedback=weights")
    assert np.array_equal(first["d:feedback"], alone["d:feedback"])
    assert not np.any(first["d:feedback"][:, :-1] == other["d:feedback"][:, :-1])
    assert np.array_equal(first["d"], other["d"])
    assert not first["d:feedback"][:, -1].any(), "nothing is read of the line of the bias"


def test_draws_are_uniform_and_addressed_by_name() -> None:
    found = draw(3, "fc1", 200_000)
    assert abs(found.mean()) < 0.005
    assert abs(found.var() - 1 / 3) < 0.003
    assert found.min() > -1.0001
    assert found.max() < 1.0001
    assert np.array_equal(draw(3, "fc1", 70), found[:70])
    assert not np.any(draw(3, "fc2", 70) == found[:70])


def test_matrices_are_within_the_bounds_of_their_devices() -> None:
    small = "device.w_max=0.1", "mapping.weight_scaling=off"
    program = rpucc.compile(network(), "rpu-managed", overrides=[RANDOM, *small], verify=False)
    for layer in analog_layers(program.model):
        if layer.is_feedback:
            B = layer.weight.const_value.numpy()
            assert np.abs(B).max() == pytest.approx(0.1, rel=0.06)


def test_nothing_changes_a_matrix_and_any_threads_give_the_same_bits(
    tmp_path: Path, many_parts: list[int]
) -> None:
    program, data = tiny("rpu-managed", "", RANDOM), tiny_data()
    start = Machine(program).arrays["fc.B"].weights.copy()
    one, _ = train(program, data, epochs=3)
    two, _ = train(program, data, epochs=3, threads=2)
    assert max(many_parts) == 2
    assert one.history == two.history
    assert np.array_equal(one.arrays["fc.B"].weights, start)
    for name, held in one.state().items():
        assert np.array_equal(held, two.state()[name]), name
    part, _ = train(program, data, epochs=1)
    part.save(tmp_path)
    resumed = Machine.load(tmp_path)
    Trainer(resumed).fit(data, epochs=3, batch_size=5, lr=0.05)
    for name, held in one.state().items():
        assert np.array_equal(held, resumed.state()[name]), name


def test_pulses_a_weight_are_those_of_what_learns() -> None:
    program = tiny("rpu-managed", "", RANDOM)
    machine, rows = train(program, tiny_data(), epochs=1)
    assert machine.weights == sum(machine.arrays[name].size for name in ("c.W", "fc.W"))
    assert machine.programmed == machine.weights + machine.arrays["fc.B"].size
    pulses = rows[0].pulses_per_weight * machine.weights
    assert pulses == pytest.approx(round(pulses), abs=1e-6)


def test_the_weights_come_to_lie_along_the_random_matrix() -> None:
    """The angle between both falls, which is why it learns (Lillicrap et al. 2016)."""
    program = rpucc.compile(network(), "ideal", overrides=[RANDOM], verify=False)
    machine = Machine(program)
    rng = np.random.default_rng(2)
    labels = rng.integers(0, 3, 300)
    x = rng.random((300, 1, 6, 6)).astype(np.float32) * 0.5
    x[np.arange(300), 0, labels, labels] += 0.5

    def angles() -> dict[str, float]:
        W = {a.layer: a.weights[:, :-1].ravel() for a in machine.arrays.values()}
        cosines = {n: W[n] @ W[f"{n}:feedback"] for n in "bcd"}
        sizes = {n: np.linalg.norm(W[n]) * np.linalg.norm(W[f"{n}:feedback"]) for n in "bcd"}
        return {n: float(np.degrees(np.arccos(cosines[n] / sizes[n]))) for n in "bcd"}

    before = angles()
    rows = Trainer(machine).fit((x, labels, x, labels), epochs=30, lr=0.05)
    after = angles()
    assert rows[-1].test_error < 0.05
    for name in "bcd":
        assert after[name] < before[name] - 4, (before, after)


def test_shapes_are_those_of_the_weights() -> None:
    program = rpucc.compile(network(), "ideal", overrides=[RANDOM, "mapping.bias=digital"])
    shapes = {layer.name: tuple(layer.weight.shape) for layer in analog_layers(program.model)}
    for name in "bcd":
        rows, *rest = SHAPES[name]
        assert shapes[f"{name}:feedback"] == shapes[name] == (rows, int(np.prod(rest)))
