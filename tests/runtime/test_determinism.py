"""Same seed, same bits: over runs, threads, interruptions; evaluation leaves no trace."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.runtime import training as training_module
from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import Progress
from rpucc.runtime.trainer import Trainer

from .small import on_progress, tiny, tiny_data, train

SMALL_ARRAYS = ("array.rows=3", "array.cols=10")
TARGETS = ["ideal", "rpu-baseline", "rpu-managed", "rpu-managed-um"]
DIGITAL_FC = '\n[[layer]]\nmatch = "fc"\nanalog = false\n'


def saved(machine: Machine, folder: Path) -> bytes:
    save_checkpoint(machine, folder / "saved")
    return (folder / "saved").read_bytes()


@pytest.mark.parametrize("target", TARGETS)
def test_the_same_seed_gives_the_same_bits(target: str, tmp_path: Path) -> None:
    program = tiny(target, "", *SMALL_ARRAYS)
    (first, one), (second, two) = (train(program, tiny_data(), seed=3) for _ in range(2))
    assert [m.reproducible() for m in one] == [m.reproducible() for m in two]
    assert saved(first, tmp_path) == saved(second, tmp_path)


@pytest.mark.parametrize("target", TARGETS)
def test_the_number_of_threads_changes_nothing(
    target: str, tmp_path: Path, many_parts: list[int]
) -> None:
    # LeNet's layers are large enough to be cut: a part is at least 16 rows.
    program = rpucc.compile("lenet", target, verify=False, overrides=["array.rows=100"])
    rng = np.random.default_rng(0)
    x = rng.integers(0, 256, (14, 1, 28, 28)).astype(np.uint8)
    data = rpucc.runtime.data.Dataset("noise", x, np.arange(14) % 10, x[:3], np.arange(3))
    results = []
    for threads in (1, 2, 3):
        many_parts.clear()
        machine, metrics = train(program, data, seed=3, threads=threads, epochs=1)
        assert max(many_parts, default=1) == threads
        results.append((saved(machine, tmp_path), [m.reproducible() for m in metrics]))
    assert results[0] == results[1] == results[2]


def test_another_seed_gives_other_bits(tmp_path: Path) -> None:
    runs = [train(tiny(), tiny_data(), seed=seed, epochs=1) for seed in (1, 2)]
    weights = [machine.arrays["fc.W"].weights for machine, _ in runs]
    assert np.mean(weights[0] == weights[1]) < 0.9
    assert runs[0][1][0].reproducible() != runs[1][1][0].reproducible()


def test_in_ideal_mode_the_seed_decides_the_order_of_samples() -> None:
    weights = [
        train(tiny("ideal"), tiny_data(), seed=seed, epochs=1)[0].arrays["fc.W"].weights
        for seed in (1, 2)
    ]
    assert not np.array_equal(*weights)


@pytest.mark.parametrize("rules", ["", DIGITAL_FC])
@pytest.mark.parametrize("at", [5, 10, 28, 43])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(
    at: int, rules: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_module, "PROGRESS_SECONDS", -1.0)
    program, data = tiny("rpu-managed", rules), tiny_data()
    whole, metrics = train(program, data, seed=3)

    def interrupt(progress: Progress) -> None:
        if (progress.epoch - 1) * 23 + progress.samples_done == at:
            raise KeyboardInterrupt

    path = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train(program, data, seed=3, callbacks=[on_progress(interrupt)], checkpoint=path)
    assert_same_as(whole, metrics, resumed(path, program, data), tmp_path)


def resumed(path: Path, program: rpucc.Program, data: Any) -> tuple[Machine, list[Any]]:
    machine = load_checkpoint(path, program)
    return machine, Trainer(machine).fit(data, epochs=2, batch_size=5, lr=0.05)


def assert_same_as(
    whole: Machine, metrics: list[Any], again: tuple[Machine, list[Any]], folder: Path
) -> None:
    assert [m.reproducible() for m in again[1]] == [m.reproducible() for m in metrics]
    assert saved(again[0], folder) == saved(whole, folder)


@pytest.mark.parametrize("at", [23, 46])
def test_an_interruption_at_an_epochs_last_sample(
    at: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All samples are trained but the epoch is not closed: what follows is its evaluation."""
    monkeypatch.setattr(training_module, "PROGRESS_SECONDS", -1.0)
    program, data = tiny(), tiny_data()
    whole, metrics = train(program, data, seed=3)

    def interrupt(progress: Progress) -> None:
        if progress.epoch * progress.samples_done == at:
            raise KeyboardInterrupt

    path = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        train(program, data, seed=3, callbacks=[on_progress(interrupt)], checkpoint=path)
    assert_same_as(whole, metrics, resumed(path, program, data), tmp_path)


def test_an_interruption_of_an_epochs_evaluation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, data = tiny(), tiny_data()
    whole, metrics = train(program, data, seed=3)
    path = tmp_path / "interrupted"

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "evaluate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(program, data, seed=3, checkpoint=path)
    assert_same_as(whole, metrics, resumed(path, program, data), tmp_path)


@pytest.mark.parametrize("place", ["_instructions", "_commits"])
def test_ctrl_c_in_the_middle_of_a_step_waits_for_its_end(place: str, tmp_path: Path) -> None:
    """Else some layers would be updated and others not, and the sample would be trained twice."""
    program, data = tiny(), tiny_data()
    whole, metrics = train(program, data, seed=3)
    machine = Machine(program, 3)
    trainer = Trainer(machine)
    executor = trainer.executor(5, evaluating=False)
    calls = 0

    def ctrl_c() -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            signal.raise_signal(signal.SIGINT)

    getattr(executor, place).insert(1, ctrl_c)
    path = tmp_path / "interrupted"
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        trainer.fit(data, epochs=2, batch_size=5, lr=0.05, checkpoint=path)
    assert signal.getsignal(signal.SIGINT) is handler
    assert_same_as(whole, metrics, resumed(path, program, data), tmp_path)


def test_going_on_with_another_machine_of_the_same_seed(tmp_path: Path) -> None:
    """Two fits of one epoch are one fit of two."""
    whole, metrics = train(tiny(), tiny_data(), seed=3)
    machine = Machine(tiny(), 3)
    for epochs in (1, 2):
        again = Trainer(machine).fit(tiny_data(), epochs=epochs, batch_size=5, lr=0.05)
    assert_same_as(whole, metrics, (machine, again), tmp_path)


def test_evaluation_changes_no_state_and_repeats(tmp_path: Path) -> None:
    machine, _ = train(tiny(), tiny_data(), epochs=1)
    trainer, data = Trainer(machine), tiny_data()
    before = saved(machine, tmp_path)
    first, second = (trainer.evaluate(data.x_test, data.y_test) for _ in range(2))
    np.testing.assert_array_equal(trainer.predict(data.x_test), trainer.predict(data.x_test))
    assert saved(machine, tmp_path) == before
    assert (first.loss, first.error, first.reads) == (second.loss, second.error, second.reads)
    assert first.samples == 11
    assert first.reads == 11 * (36 + 1)


def test_evaluating_between_epochs_does_not_disturb_training(tmp_path: Path) -> None:
    whole, metrics = train(tiny(), tiny_data(), seed=3)
    machine, data = Machine(tiny(), 3), tiny_data()
    trainer = Trainer(machine)

    def peek(_: object) -> None:
        trainer.evaluate(data.x_train, data.y_train, batch_size=5)

    again = trainer.fit(data, epochs=2, batch_size=5, lr=0.05, callbacks=[peek])
    assert_same_as(whole, metrics, (machine, again), tmp_path)


def test_the_noise_of_a_sample_does_not_depend_on_the_batch() -> None:
    # Without converters: a product's last bit, which does depend on it, cannot become a step.
    overrides = ("periphery.dac_bits=0", "periphery.adc_bits=0", *SMALL_ARRAYS)
    machine = Machine(tiny("rpu-managed", "", *overrides), 5)
    x = tiny_data().x_train
    trainer = Trainer(machine)
    whole = trainer.predict(x, batch_size=23)
    quiet = Trainer(Machine(tiny("ideal"))).predict(x)
    assert np.abs(whole - quiet).max() > 0.05
    for batch_size in (1, 5, 100):
        split = trainer.predict(x, batch_size=batch_size)
        np.testing.assert_allclose(split, whole, rtol=0, atol=1e-5 * np.abs(whole).max())
