"""Warming up compiles and leaves no trace."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import pytest

import rpucc
from rpucc.runtime.checkpoint import save_checkpoint
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer
from rpucc.runtime.warmup import on_compiling, warm_up

from .small import on_progress, tiny, tiny_cnn, tiny_data


@pytest.mark.parametrize("rules", ["", '\n[[layer]]\nmatch = "fc"\nanalog = false\n'])
def test_training_is_the_same_with_and_without_warming_up(rules: str) -> None:
    program = tiny("rpu-managed", rules)
    results = []
    for warm in (False, True):
        machine = Machine(program)
        trainer = Trainer(machine)
        if warm:
            warm_up(trainer, 5)
        metrics = trainer.fit(tiny_data(), epochs=1, batch_size=5, lr=0.05)
        results.append((machine.state(), metrics[0].reproducible()))
    assert results[0][1] == results[1][1]
    for name, array in results[0][0].items():
        np.testing.assert_array_equal(results[1][0][name], array, err_msg=name)


def test_state_counters_and_tallies_are_as_before(tmp_path: object) -> None:
    machine = Machine(tiny())
    trainer = Trainer(machine)
    trainer.fit(tiny_data(), epochs=1, batch_size=5, lr=0.05)
    path = tmp_path / "a"  # type: ignore[operator]
    save_checkpoint(machine, path)
    before = path.read_bytes()
    warm_up(trainer, 5)
    save_checkpoint(machine, path)
    assert path.read_bytes() == before
    data = tiny_data()
    evaluation = trainer.evaluate(data.x_test, data.y_test)
    assert evaluation.reads == 11 * (36 + 1)


def test_an_inference_program_warms_up_for_evaluation_only() -> None:
    program = rpucc.compile(tiny_cnn(), "rpu-managed", training=False, verify=False)
    machine = Machine(program)
    before = machine.arrays["fc.W"].weights.copy()
    warm_up(Trainer(machine), train=False)
    np.testing.assert_array_equal(machine.arrays["fc.W"].weights, before)


def test_compiling_is_told_apart_from_loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    def double(x: float) -> float:
        return 2 * x

    said: list[int] = []
    for _ in range(2):  # the second is another function to Numba, whose code is in the cache
        with on_compiling(lambda: said.append(1)):
            kernel = numba.njit("float64(float64)", cache=True)(double)
            kernel(1.0)
    assert said == [1]
    with on_compiling(lambda: said.append(2)):
        numba.njit(lambda x: x)(1)
        numba.njit(lambda x: x + 1)(1)
    assert said == [1, 2]
    numba.njit(lambda x: x)(1)
    assert said == [1, 2]


def test_a_training_tells_what_its_last_test_took() -> None:
    told = []
    trainer = Trainer(Machine(tiny()))
    trainer.fit(tiny_data(), epochs=2, batch_size=5, lr=0.05, callbacks=[on_progress(told.append)])
    first, last = told[0], told[-1]
    assert (first.test_samples, first.test_seconds) == (11, None)
    assert last.epoch == 2
    assert last.test_seconds is not None
    assert last.test_seconds > 0
