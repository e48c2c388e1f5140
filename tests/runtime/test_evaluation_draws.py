"""Every evaluation after an epoch has random draws of its own, and no draw knows of the batch."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rpucc
from rpucc.errors import RpuccError
from rpucc.runtime.counters import MOST_DRAWS, Counters
from rpucc.runtime.executor import Executor
from rpucc.runtime.training import Training


def spans(trained: int, tested: int, epochs: int) -> list[range]:
    """Numbers of the draws of the evaluations after each of the epochs."""
    starts = [Counters(e, 0, e * trained).evaluation(tested) for e in range(epochs + 1)]
    return [range(start, start + tested) for start in starts]


@given(st.integers(1, 50), st.integers(1, 200), st.integers(1, 6))
def test_evaluations_after_epochs_share_no_draw(trained: int, tested: int, epochs: int) -> None:
    # Before the first epoch, too, but that one may be as long as the test part.
    found = spans(trained, tested, epochs)
    assert all(a.stop <= b.start for a, b in itertools.pairwise(found))


@given(st.integers(1, 200), st.integers(1, 50), st.integers(0, 9))
def test_the_usual_numbers_are_those_of_the_trained_samples(
    trained: int, tested: int, done: int
) -> None:
    tested, done = min(tested, trained), min(done, trained - 1)
    for epoch in range(4):
        counters = Counters(epoch, done, epoch * trained + done)
        assert counters.evaluation(tested) == counters.sample


def test_where_there_are_no_numbers_left_the_usual_ones_are_taken() -> None:
    assert Counters(2, 0, 20).evaluation(2**20) >= 2**21
    assert Counters(2, 0, 20).evaluation(MOST_DRAWS // 2) == 20
    assert Counters(1000, 0, 1000 * 1000).evaluation(10**7) == 1000 * 1000


def small(tested: int) -> rpucc.Dataset:
    data = rpucc.load_dataset("mnist-mini")
    return dataclasses.replace(
        data,
        x_train=data.x_train[:20],
        y_train=data.y_train[:20],
        x_test=data.x_test[:tested],
        y_test=data.y_test[:tested],
    )


def test_a_training_with_a_long_test_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three epochs of 20 samples, 150 tested after each: 450 numbers, measured again the same."""
    numbers: list[int] = []
    run = Executor.run

    def noted(self: Executor, sample: int = 0, *rest: object) -> None:
        if self.address.evaluating:
            numbers.extend(range(sample, sample + self.batch))
        run(self, sample, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(Executor, "run", noted)
    trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "rpu-managed", verify=False)))
    history = trainer.fit(small(150), epochs=3)
    assert len(numbers) == len(set(numbers)) == 450
    for batch_size in (None, 7):
        again = trainer.evaluate(small(150), batch_size=batch_size)
        assert again.error == history[-1].test_error
        assert np.isclose(again.loss, history[-1].test_loss, rtol=1e-6)


def test_a_training_says_before_it_starts_that_an_evaluation_would_repeat_draws(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(self: Training) -> None:
        raise AssertionError("has started")

    monkeypatch.setattr(Training, "_make_steps", never)
    trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
    trainer.machine.counters.sample = MOST_DRAWS - 60
    with pytest.raises(
        RpuccError, match="3 epochs of 20 samples after 4,294,967,236 samples: random"
    ):
        trainer.fit(small(150), epochs=3)
