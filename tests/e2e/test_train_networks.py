"""Real topologies train in situ on synthetic images: residual, depthwise, and pixel by pixel.

Narrow networks always; those of the zoo as they are by hand: pytest -m slow.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.models import build
from rpucc.models.mobilenet import build_mobilenet_v2_cifar
from rpucc.models.resnet import build_resnet18
from rpucc.models.unet import build_unet
from rpucc.runtime.data import Dataset
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from ..runtime.stock import assert_close, run_executor, stock_values, training_outputs
from .conftest import Cli

CLASSES = 3
TARGETS = ["ideal", "rpu-managed"]


def colours(n: int, tests: int = 20, side: int = 32) -> Dataset:
    """Noisy images, each bright in the one channel that its label names."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, n + tests)
    x = rng.uniform(0.0, 0.3, (n + tests, 3, side, side))
    x[np.arange(n + tests), y] += 0.7
    x = x.astype(np.float32)
    return Dataset("colours", x[:n], y[:n], x[n:], y[n:])


def squares(n: int, tests: int = 8, side: int = 64) -> Dataset:
    """Noisy images of bright squares, and for each pixel whether it is in one: [n, side, side]."""
    rng = np.random.default_rng(0)
    y = np.zeros((n + tests, side, side), np.uint8)
    for image in y:
        top, left = rng.integers(0, side // 2, 2)
        image[top : top + side // 2, left : left + side // 2] = 1
    x = (0.4 * y + rng.uniform(0.0, 0.6, y.shape)).astype(np.float32)[:, None]
    return Dataset("squares", x[:n], y[:n], x[n:], y[n:])


def assert_learns(
    model: onnx.ModelProto, target: str, data: Dataset, lr: float, batch_size: int
) -> None:
    """Within two epochs losses and errors fall by a quarter at least."""
    machine = Machine(rpucc.compile(model, target, verify=False))
    trainer = Trainer(machine)
    before = trainer.evaluate(data.x_test, data.y_test, batch_size=4)
    history = trainer.fit(data, epochs=2, lr=lr, batch_size=batch_size)
    assert history[1].train_loss < history[0].train_loss
    assert history[1].test_loss < 0.75 * before.loss
    assert history[1].test_error < 0.75 * before.error


def assert_ideal_step_is_exact(model: onnx.ModelProto, data: Dataset, *more: str) -> None:
    """One step on small ideal arrays: logits, loss and all weights are onnxruntime's."""
    overrides = ["array.rows=100", "array.cols=60", *more]
    program = rpucc.compile(model, "ideal", overrides=overrides, verify=False)
    step = program.step
    feeds = {
        step.inputs[0]: data.x_train[:2],
        step.labels: data.y_train[:2].astype(np.int64),
        step.rates[0]: np.array(0.1, np.float32),
    }
    if step.mode is not None:
        feeds[step.mode] = np.ones((), np.float32)
    outputs = training_outputs(program)
    executor = run_executor(Machine(program), feeds, outputs, batch=2)
    expected = stock_values(program.model, feeds)
    for name in outputs:
        assert_close(executor[name], expected[name], name)


Builder = Callable[[], onnx.ModelProto]

NARROW: dict[str, tuple[Builder, Callable[[int], Dataset], int, float, int]] = {
    "resnet18": (lambda: build_resnet18(width=8, classes=CLASSES), colours, 200, 0.05, 8),
    "mobilenet-v2-cifar": (
        lambda: build_mobilenet_v2_cifar(width=0.25, classes=CLASSES),
        colours,
        200,
        0.05,
        8,
    ),
    "unet": (lambda: build_unet(size=16, width=4), lambda n: squares(n, side=16), 60, 0.05, 1),
}
"""Builder, data, how many samples of them, learning rate, batch: the first two have fresh batch
norms, which take the statistics of it."""

networks = pytest.mark.parametrize("name", NARROW)


@pytest.mark.parametrize(
    ("name", "target"),
    [
        *(("resnet18", target) for target in TARGETS),
        ("mobilenet-v2-cifar", "ideal"),
        pytest.param("mobilenet-v2-cifar", "rpu-managed", marks=[pytest.mark.slow]),
        *(("unet", target) for target in TARGETS),
    ],
)
def test_a_narrow_network_learns(name: str, target: str) -> None:
    make, data, samples, lr, batch_size = NARROW[name]
    assert_learns(make(), target, data(samples), lr, batch_size)


@networks
def test_an_ideal_step_equals_floating_point(name: str) -> None:
    make, data, *_ = NARROW[name]
    # 53 batch norms with statistics of two images amplify rounding until a ReLU6 flips.
    more = ["batch_norm.policy=frozen"] if name == "mobilenet-v2-cifar" else []
    assert_ideal_step_is_exact(make(), data(2), *more)


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
@networks
def test_a_network_of_the_zoo_learns(name: str, target: str) -> None:
    model = build(name)
    data = squares(200) if name == "unet" else colours(300)
    if name == "unet":
        assert_learns(model, target, data, 0.003, 1)
    else:
        assert_learns(model, target, data, 0.03, 8)


def test_unet_from_the_command_line(tmp_path: Path, cli: Cli) -> None:
    """A file of images and of labels a pixel, through train, eval and run."""
    data = squares(20, tests=4, side=16)
    onnx.save(build_unet(size=16, width=4), tmp_path / "unet.onnx")
    x, y = np.concatenate([data.x_train, data.x_test]), np.concatenate([data.y_train, data.y_test])
    file, run = tmp_path / "squares.npz", tmp_path / "run"
    np.savez(file, x=x[:, 0], y=y)
    options = ("-t", "ideal", "--data", file, "--epochs", 1, "--no-verify", "-o", run)
    trained = cli("train", tmp_path / "unet.onnx", *options)
    assert trained.code == 0, trained.stderr
    assert "labels wrong" in cli("eval", run).stdout
    outcome = cli("run", run, file, "-o", tmp_path / "out.npy")
    assert outcome.code == 0
    assert "its test part, the last tenth of x (2 samples)" in outcome.stderr
    assert outcome.stdout.startswith("error ")  # a share of the pixels
    assert np.load(tmp_path / "out.npy").shape == (2, 2, 16, 16)
