"""A siamese LeNet: two towers, one set of arrays, one update a step for both."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .numpy_lenet import siamese_step
from .siamese import LAYERS, SIDES, pairs, siamese_lenet
from .stock import assert_agree, assert_close, ideal, run_executor, stock_values, training_outputs

Weights = dict[str, np.ndarray]


def noise(samples: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Pairs of images without a flat place, of whose equal pixels a max pool takes just one."""
    rng = np.random.default_rng(3)
    x = {side: rng.integers(0, 256, (samples, 1, 28, 28)).astype(np.uint8) for side in SIDES}
    return x, np.arange(samples) % 2


def scaled(x: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name: each.astype(np.float32) / 255 for name, each in x.items()}


def matrices(machine: Machine) -> Weights:
    """Weights [R, C + 1] by layer of the reference."""
    state = {name.split("_")[0].split(".")[0]: array for name, array in machine.state().items()}
    assert set(state) == set(LAYERS)
    return {name: array.copy() for name, array in state.items()}


def fed(x: dict[str, np.ndarray], split: bool) -> dict[str, np.ndarray]:
    return {"x": np.concatenate([x["left"], x["right"]], axis=1)} if split else x


@pytest.mark.parametrize("split", [False, True])
@pytest.mark.parametrize("size", [(512, 600), (100, 60)])
def test_one_ideal_step_is_onnxruntimes_and_numpys(split: bool, size: tuple[int, int]) -> None:
    x, labels = noise(4)
    feeds = {**fed(scaled(x), split), "labels": labels, "lr": np.array(1, np.float32)}
    program = ideal(siamese_lenet(split=split), *size)
    machine = Machine(program)
    before = matrices(machine)
    executor = run_executor(machine, feeds, training_outputs(program), 4)
    assert set(training_outputs(program)) <= assert_agree(
        executor, stock_values(program.model, feeds)
    )
    loss, logits, expected = siamese_step(before, *scaled(x).values(), labels, 1.0)
    assert_close(executor["y"], logits.astype(np.float32), "logits")
    assert float(executor["loss"]) == pytest.approx(loss, rel=1e-5)
    for name, found in matrices(machine).items():
        assert np.any(found != before[name]), name
        moved = expected[name] - before[name]
        rounding = 1e-5 * np.abs(moved).max() + np.spacing(np.abs(found).max())
        np.testing.assert_allclose(found - before[name], moved, rtol=0, atol=rounding)


@pytest.mark.parametrize("split", [False, True])
def test_the_trainer_takes_the_same_steps(split: bool) -> None:
    """Three full-batch steps, so that the order of samples plays no part."""
    x, labels = noise(6)
    machine = Machine(ideal(siamese_lenet(split=split)))
    weights = matrices(machine)
    given = fed(x, split)["x"] if split else x
    history = Trainer(machine).fit((given, labels, given, labels), epochs=3, batch_size=6, lr=0.1)
    for _ in range(3):
        _, _, weights = siamese_step(weights, *scaled(x).values(), labels, 0.1)
    for name, found in matrices(machine).items():
        assert_close(found, weights[name].astype(np.float32), name)
    loss, logits, _ = siamese_step(weights, *scaled(x).values(), labels, 0.1)
    assert history[-1].test_loss == pytest.approx(loss, rel=1e-4)
    assert_close(Trainer(machine).predict(given), logits.astype(np.float32), "logits")


def test_both_towers_lie_on_one_set_of_arrays_and_have_one_update() -> None:
    program = rpucc.compile(siamese_lenet(), "rpu-managed", verify=False)
    assert program.inputs == ("left", "right")
    assert [layer.name for layer in program.plan.layers] == [
        "conv1_left", "conv2_left", "fc1_left", "fc2"
    ]  # fmt: skip
    assert [layer.updates for layer in program.plan.layers] == [2 * 576, 2 * 64, 2, 1]
    assert sum(node.op_type == "Update" for node in program.model.graph) == 4


def test_it_learns_on_real_devices_and_with_other_threads_the_same() -> None:
    program = rpucc.compile(siamese_lenet(), "rpu-managed", verify=False)
    x, labels = pairs(1200)
    weights = []
    for threads in (1, 2):
        trainer = Trainer(Machine(program, seed=1), threads)
        if threads == 1:
            before = trainer.evaluate((x, labels))
            history = trainer.fit((x, labels), epochs=1)
            assert before.error > 0.3
            assert history[0].test_error < 0.1
        few = {name: each[:20] for name, each in x.items()}
        trainer = Trainer(Machine(program, seed=1), threads)
        trainer.fit((few, labels[:20]), epochs=1)
        weights.append(trainer.machine.state())
    for name, array in weights[0].items():
        np.testing.assert_array_equal(array, weights[1][name])
