"""Training with each loss: what an epoch and an evaluation average, and what is refused."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rpucc
from rpucc.errors import ArgumentError, DataError, RpuccError
from rpucc.runtime.data import Dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.scoring import Scoring
from rpucc.runtime.trainer import Trainer

from .small import on_progress, tiny_cnn, tiny_data, train

WEIGHTS = (0.25, 4.0, 1.5)


@cache
def weighted(weights: tuple[float, ...] = WEIGHTS) -> rpucc.Program:
    return rpucc.compile(tiny_cnn(), "ideal", class_weights=weights, verify=False)


def mean_loss(logits: np.ndarray, y: np.ndarray) -> float:
    log = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
    w = np.array(WEIGHTS)[y]
    return -float((w * np.take_along_axis(log, y[:, None], 1)[:, 0]).sum() / w.sum())


def test_an_evaluation_is_the_weighted_mean_over_all_samples_at_any_batch_size() -> None:
    data, trainer = tiny_data(), Trainer(Machine(weighted()))
    expected = mean_loss(trainer.predict(data.x_train), data.y_train)
    for batch in (1, 4, 23):
        found = trainer.evaluate(data.x_train, data.y_train, batch)
        assert found.loss == pytest.approx(expected, rel=1e-5)


def test_an_epochs_loss_is_the_weighted_mean_over_its_samples() -> None:
    data = tiny_data()
    before = Trainer(Machine(weighted())).predict(data.x_train)
    _, metrics = train(weighted(), data, epochs=1, batch_size=5, lr=1e-12)
    assert metrics[0].train_loss == pytest.approx(mean_loss(before, data.y_train), rel=1e-5)


def test_equal_weights_train_as_none() -> None:
    plain, usual = train(rpucc.compile(tiny_cnn(), "ideal", verify=False), tiny_data())
    machine, found = train(weighted((2.0, 2.0, 2.0)), tiny_data())
    assert [m.train_loss for m in found] == pytest.approx([m.train_loss for m in usual])
    for name, array in machine.state().items():
        np.testing.assert_allclose(array, plain.state()[name], atol=1e-6)


def test_a_weighted_training_that_is_stopped_goes_on_at_its_very_sample(tmp_path: Path) -> None:
    whole, expected = train(weighted(), tiny_data())
    path = tmp_path / "checkpoint.safetensors"

    def stop(progress: Any) -> None:
        if progress.samples_done >= 10:
            raise KeyboardInterrupt

    machine = Machine(weighted())
    with pytest.raises(KeyboardInterrupt):
        Trainer(machine).fit(
            tiny_data(), epochs=2, batch_size=5, lr=0.05, checkpoint=path,
            callbacks=[on_progress(stop)],
        )  # fmt: skip
    again = rpucc.load_checkpoint(path, weighted())
    assert again.counters.loss_weight > 0
    history = Trainer(again).fit(tiny_data(), epochs=2, batch_size=5, lr=0.05)
    assert [m.reproducible() for m in history] == [m.reproducible() for m in expected]
    for name, array in again.state().items():
        np.testing.assert_array_equal(array, whole.state()[name])


def test_class_weights_and_single_labels_are_refused_where_they_cancel() -> None:
    with pytest.raises(RpuccError, match="class weights do nothing with a batch of 1"):
        train(weighted(), tiny_data(), batch_size=1)


def test_balanced_weights_make_all_classes_count_alike() -> None:
    data = tiny_data(60)
    y = np.where(np.arange(60) < 48, 0, np.where(np.arange(60) < 57, 1, 2))
    uneven = Dataset("uneven", data.x_train, y, data.x_train, y)
    program = rpucc.compile(
        tiny_cnn(), "ideal", class_weights=rpucc.balanced_weights(uneven), verify=False
    )
    value = program.model.graph.initializers["class_weights"].const_value
    assert value is not None
    found = value.numpy()
    np.testing.assert_allclose(found * np.bincount(y), [20, 20, 20], rtol=1e-6)
    one_hot = Dataset("one-hot", data.x_train, np.eye(3)[y], data.x_train, np.eye(3)[y])
    assert rpucc.balanced_weights(one_hot)((3,)) == pytest.approx(found.tolist())
    with pytest.raises(DataError, match="has 2 outputs"):
        rpucc.balanced_weights(uneven)((2,))
    parts = [(uneven.x_train[i : i + 10], y[i : i + 10]) for i in range(0, 60, 10)]
    loader = rpucc.balanced_weights((lambda: iter(parts), (uneven.x_test, y)))
    assert loader((3,)) == pytest.approx(found.tolist())


# --- top-k ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(50, 6), (9, 4, 5), (3, 7, 4, 2)])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_label_is_beyond_the_top_where_k_outputs_come_before_it(
    shape: tuple[int, ...], k: int
) -> None:
    rng = np.random.default_rng(k)
    outputs = rng.integers(0, 5, shape).astype(np.float32)  # many are equal: the first comes first
    labels = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    order = np.argsort(-outputs, axis=1, kind="stable")
    expected = (order[:, :k] != np.expand_dims(labels, 1)).all(axis=1).sum()
    scoring = Scoring("classes", 0.0, shape[1])
    assert scoring.beyond(outputs, labels, k) == expected
    if k == 1:
        assert expected == scoring.errors(outputs, labels)
    outputs[:, 1:] = np.nan
    assert scoring.beyond(outputs, np.zeros_like(labels), 1) == labels.size


def test_the_top_error_is_counted_where_it_is_asked_for() -> None:
    program, data = weighted(), tiny_data(60)
    machine, history = train(program, data, top_k=2)
    trainer = Trainer(machine)
    outputs = trainer.predict(data.x_test)
    order = np.argsort(-outputs, axis=1)[:, :2]
    expected = (order != data.y_test[:, None]).all(axis=1).mean()
    assert trainer.evaluate(data, top_k=2).top_k_error == pytest.approx(expected)
    assert trainer.evaluate(data, batch_size=3, top_k=2).top_k_error == pytest.approx(expected)
    assert (history[-1].top_k, history[-1].test_top_k_error) == (2, pytest.approx(expected))
    plain, usual = train(program, data)
    assert "top_k" not in plain.history[0]
    assert trainer.evaluate(data).top_k_error is None
    assert usual[-1].test_error == history[-1].test_error


def test_a_top_that_holds_all_or_no_answer_is_refused() -> None:
    for wrong, line in ((3, "less than the 3 classes"), (0, "1 or more"), (1.5, "an integer")):
        with pytest.raises(ArgumentError, match=f"top_k: found .*{line}"):
            train(weighted(), tiny_data(), top_k=wrong)
        with pytest.raises(ArgumentError, match="top_k"):
            Trainer(Machine(weighted())).evaluate(tiny_data(), top_k=wrong)
    numbers = rpucc.compile(tiny_cnn(), "ideal", loss="mae", verify=False)
    y = np.zeros((34, 3), np.float32)
    x = np.concatenate([tiny_data().x_train, tiny_data().x_test])
    with pytest.raises(ArgumentError, match="top_k: the labels are no classes"):
        train(numbers, Dataset("numbers", x, y, x, y), top_k=1)


@pytest.mark.parametrize("loss", ["mse", "mae", "huber", "huber:0.1"])
def test_losses_of_targets_train_and_have_no_error(loss: str) -> None:
    data = tiny_data(40)
    y = np.eye(3, dtype=np.float32)[data.y_train] * 2 - 1
    targets = Dataset("targets", data.x_train, y, data.x_train[:8], y[:8])
    program = rpucc.compile(tiny_cnn(), "ideal", loss=loss, verify=False)
    machine, history = train(program, targets, epochs=3)
    assert history[-1].train_loss < history[0].train_loss
    assert history[-1].test_error is None
    e = targets.y_test - targets.y_train.mean(axis=0)
    delta = float(loss.partition(":")[2] or 1)
    clipped = np.clip(e, -delta, delta)
    chance = {"mse": e**2, "mae": abs(e)}.get(loss, clipped * (e - clipped / 2)).mean()
    assert rpucc.verdict(machine, targets).chance == pytest.approx(chance, rel=1e-5)
    with pytest.raises(DataError, match=f"the program's loss is {loss.partition(':')[0]}"):
        train(program, data)
