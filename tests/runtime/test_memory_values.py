"""How many samples are evaluated at once: as many as fit, without any effect on the results."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.runtime import memory
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.trainer import Trainer


def test_small_networks_take_a_hundred() -> None:
    assert evaluation_batch(rpucc.compile("lenet", verify=False)) == 100


def test_what_is_allocated_stays_within_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    program = rpucc.compile("lenet", training=False, verify=False)
    monkeypatch.setattr(memory, "VALUES_BYTES", 1 << 20)
    batch = evaluation_batch(program)
    assert 1 <= batch < 100
    executor = Executor(Machine(program), batch, [program.output], evaluating=True, fuse=False)
    used = sum(executor[name].nbytes for name in executor.names() if not name.startswith("const"))
    weights = sum(array.weights.nbytes for array in executor.machine.arrays.values())
    assert used - weights <= 1 << 20


def test_no_less_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "VALUES_BYTES", 1)
    assert evaluation_batch(rpucc.compile("lenet", verify=False)) == 1


def test_results_do_not_depend_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).random((7, 1, 28, 28), np.float32)
    program = rpucc.compile("lenet", "rpu-managed", verify=False)
    together = Trainer(Machine(program)).predict(x)
    monkeypatch.setattr(memory, "VALUES_BYTES", 1)
    np.testing.assert_array_equal(Trainer(Machine(program)).predict(x), together)
