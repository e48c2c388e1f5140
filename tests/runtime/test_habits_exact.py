"""One ideal training step of a network with an exporter's habits is that of onnxruntime."""

from __future__ import annotations

import pytest

from rpucc.passes.execute import random_feeds
from rpucc.runtime.machine import Machine

from ..passes.habits import HABITS
from .stock import assert_agree, ideal, run_executor, stock_values, training_mode, training_outputs


@pytest.mark.parametrize("name", HABITS)
def test_a_step_is_that_of_onnxruntime_at_every_value(name: str) -> None:
    habit = HABITS[name]
    program = ideal(habit.build(), 100, 60, loss=habit.loss)
    feeds = random_feeds(program.model, seed=1)
    feeds |= training_mode(program)
    batch = len(feeds[program.inputs[0]])
    executor = run_executor(Machine(program), feeds, training_outputs(program), batch)
    compared = assert_agree(executor, stock_values(program.model, feeds))
    assert set(training_outputs(program)) <= compared
