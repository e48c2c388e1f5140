"""Executors are kept for a few batch sizes only; what they counted is not lost."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import rpucc
from rpucc.runtime.executor import Executor
from rpucc.runtime.kept import KEPT, Kept

from .small import tiny_cnn


def _living() -> list[Executor]:
    gc.collect()
    return [each for each in gc.get_objects() if type(each) is Executor]


def _executors() -> int:
    return len(_living())


def _samples(count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    return rng.random((count, 1, 8, 8), np.float32), rng.integers(0, 3, count)


@pytest.fixture
def machine() -> rpucc.Machine:
    return rpucc.Machine(rpucc.compile(tiny_cnn(), "ideal", verify=False), seed=1)


def test_the_last_used_stay() -> None:
    gone: list[str] = []
    kept = Kept[int, str](gone.append, most=2)
    for size in (1, 2, 1, 3, 1):
        assert kept.get(size, lambda size=size: f"{size}") == f"{size}"
    assert gone == ["2"]
    assert list(kept.values()) == ["3", "1"]


def test_many_batch_sizes_of_evaluations(machine: rpucc.Machine) -> None:
    trainer, before = rpucc.Trainer(machine), _executors()
    x, _ = _samples(30)
    whole = trainer.predict(x[:1])
    for size in range(1, 31):
        trainer.predict(x[:size], batch_size=size)
    assert _executors() - before <= KEPT
    np.testing.assert_array_equal(trainer.predict(x[:1]), whole)


def test_many_batch_sizes_of_trainings_lose_no_count(
    machine: rpucc.Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, before = rpucc.Trainer(machine), _executors()
    tallies = trainer.step(1).executor.tallies
    monkeypatch.setattr(tallies, "take", lambda: {"fc": np.array([7])})
    del tallies
    for size in range(2, 21):
        trainer.step(size)
    assert _executors() - before <= 2 * KEPT
    assert trainer.take_counts()["fc"].tolist() == [7]
    assert "fc" not in trainer.take_counts()


def test_many_batch_sizes_of_a_loop_of_ones_own(machine: rpucc.Machine) -> None:
    before = _executors()
    x, _ = _samples(20)
    for size in range(1, 21):
        machine.forward(x[:size])
        machine.forward(x[:size], training=False)
    assert _executors() - before <= 2 * KEPT


def test_never_larger_than_the_data(machine: rpucc.Machine) -> None:
    others = set(map(id, _living()))
    x, y = _samples(20)
    trainer = rpucc.Trainer(machine)
    trainer.fit((x, y, x, y), epochs=1, batch_size=2**20)
    sizes = {each.batch for each in _living() if id(each) not in others}
    assert sizes
    assert max(sizes) <= 20
