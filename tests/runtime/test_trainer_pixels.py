"""Losses of pixels: a class or a target for each, through data, trainer, metrics and evaluation."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

import rpucc
from rpucc.errors import DataError
from rpucc.models.network import Network
from rpucc.runtime.data import Dataset, load_dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import train
from .stock import stock_values

SIDE = 8


def pixel_net(classes: int) -> Any:
    """Two padded convolutions: "x" [N, 1, 8, 8] -> "logits" [N, classes, 8, 8]."""
    net = Network("pixels", seed=1)
    x = net.relu("relu", net.conv("conv1", "x", (1, 6), 3, bias=True))
    x = net.conv("conv2", x, (6, classes), 1, bias=True)
    bias = np.linspace(0.1, -0.1, classes, dtype=np.float32)  # where all hidden units are 0: no tie
    net.parameters[-1].CopyFrom(numpy_helper.from_array(bias, "conv2.bias"))
    return net.finish(x, (1, 8, 8), (classes, 8, 8))


@cache
def program(loss: str, target: str = "ideal") -> rpucc.Program:
    return rpucc.compile(pixel_net(2 if loss == "cross-entropy" else 1), target, loss=loss)


def pixel_data(n: int = 20) -> Dataset:
    """Noisy images whose bright pixels are class 1."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, (n + 5, SIDE, SIDE)).astype(np.uint8)
    x = (y * 90 + rng.integers(0, 160, y.shape)).astype(np.uint8)[:, None]
    return Dataset("pixels", x[:n], y[:n], x[n:], y[n:])


def images(data: Dataset) -> Dataset:
    """The same with the classes as target images [n, 8, 8]."""
    return Dataset("images", data.x_train, data.y_train / 1.0, data.x_test, data.y_test / 1.0)


def outputs(loss: str, x: np.ndarray) -> np.ndarray:
    net = pixel_net(2 if loss == "cross-entropy" else 1)
    return stock_values(net, {"x": x.astype(np.float32) / 255})["logits"].astype(np.float64)


def test_metrics_are_those_of_the_pixels() -> None:
    """With a vanishing rate nothing changes, so they can be computed from the first weights."""
    data = pixel_data()
    _, metrics = train(program("cross-entropy"), data, epochs=1, batch_size=5, lr=1e-30)
    logits = outputs("cross-entropy", data.x_train)
    picked = np.take_along_axis(logits, data.y_train[:, None].astype(int), 1)[:, 0]
    losses = np.log(np.exp(logits).sum(axis=1)) - picked
    assert metrics[0].train_loss == pytest.approx(losses.mean(), rel=1e-5)
    assert metrics[0].train_error == np.mean(logits.argmax(axis=1) != data.y_train)
    wrong = outputs("cross-entropy", data.x_test).argmax(axis=1) != data.y_test
    assert metrics[0].test_error == wrong.mean()
    _, metrics = train(program("mse"), images(data), epochs=1, batch_size=5, lr=1e-30)
    errors = outputs("mse", data.x_train)[:, 0] - data.y_train
    assert metrics[0].train_loss == pytest.approx(np.mean(errors**2), rel=1e-5)
    assert (metrics[0].train_error, metrics[0].test_error) == (None, None)


def test_one_step_follows_the_gradient_of_the_mean_over_pixels() -> None:
    """The last bias's gradient is known: the mean of softmax - one hot, of 2 (output - target)."""
    data = pixel_data()
    n = len(data.x_train)
    logits = outputs("cross-entropy", data.x_train)
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    error = softmax[:, 1] - data.y_train
    found = bias_step("cross-entropy", data, n)
    np.testing.assert_allclose(found, [0.1 * error.mean(), -0.1 * error.mean()], atol=1e-6)
    error = outputs("mse", data.x_train)[:, 0] - data.y_train
    found = bias_step("mse", images(data), n)
    np.testing.assert_allclose(found, [-0.2 * error.mean()], atol=1e-6)


def bias_step(loss: str, data: Dataset, n: int) -> np.ndarray:
    before = Machine(program(loss)).arrays["conv2.W"].weights[:, -1].copy()
    machine, _ = train(program(loss), data, epochs=1, batch_size=n, lr=0.1)
    return np.asarray(machine.arrays["conv2.W"].weights[:, -1] - before)


@pytest.mark.parametrize("target", ["ideal", "rpu-managed"])
def test_pixels_are_learnt(target: str) -> None:
    data = pixel_data()
    compiled = program("cross-entropy", target)
    before = Trainer(Machine(compiled)).evaluate(data.x_test, data.y_test)
    machine, metrics = train(compiled, data, epochs=15, batch_size=1, lr=0.3)
    assert metrics[-1].test_loss < 0.8 * before.loss
    assert metrics[-1].test_error < 0.35 < before.error
    again = Trainer(machine).evaluate(data.x_test, data.y_test, batch_size=2)
    assert (again.samples, again.labels_per_sample) == (5, 64)
    assert again.error == pytest.approx(metrics[-1].test_error, abs=0.02)  # other read noise
    assert Trainer(machine).predict(data.x_test).shape == (5, 2, 8, 8)


def test_a_mean_squared_error_of_images_is_trained() -> None:
    data = images(pixel_data())
    _, metrics = train(program("mse"), data, epochs=10, batch_size=1, lr=0.05)
    assert metrics[-1].test_loss < 0.7 * metrics[0].test_loss


def test_labels_from_a_file(tmp_path: Path) -> None:
    data = pixel_data()
    x, y = (np.concatenate(p) for p in ((data.x_train, data.x_test), (data.y_train, data.y_test)))
    np.savez(tmp_path / "pixels.npz", x=x[:, 0], y=y)
    loaded = load_dataset(tmp_path / "pixels.npz")
    assert (len(loaded.x_train), loaded.y_train.dtype) == (23, np.uint8)
    _, metrics = train(program("cross-entropy"), loaded, epochs=1)
    assert metrics[0].samples == 23


def test_evaluating_refuses_labels_that_do_not_fit() -> None:
    trainer, data = Trainer(Machine(program("cross-entropy"))), pixel_data()
    for labels in (data.y_test[:, 0, 0], data.y_test[:, :4], data.y_test.argmax(axis=1)):
        with pytest.raises(DataError, match=r"integers \[n, 8, 8\], is needed") as caught:
            trainer.evaluate(data.x_test, labels)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="label 7"):
        trainer.evaluate(data.x_test, np.full_like(data.y_test, 7))
