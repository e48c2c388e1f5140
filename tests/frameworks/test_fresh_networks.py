"""Networks that were never trained, fresh from their frameworks: beside PyTorch, on the same file.

By hand: pytest -n0 -m slow tests/frameworks/test_fresh_networks.py -s
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import rpucc
from rpucc.passes.importer import load_model
from rpucc.runtime.kernels.philox import shuffle

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("onnxscript", reason="onnxscript, which torch's exporter needs, is absent")
from torch import nn  # noqa: E402

from .torch_network import Network  # noqa: E402

CLASSES, BATCH, RATE = 4, 16, 0.05
TRAIN, TEST, EPOCHS = 400, 200, 6


def gratings() -> rpucc.Dataset:
    """Images [3, 32, 32] of stripes in four directions, of any phase, colour and sign, and noise.

    The mean image of each class is grey: no linear model can tell them apart.
    """
    rng = np.random.default_rng(0)
    y = rng.integers(0, CLASSES, TRAIN + TEST)
    angle = np.pi * y / CLASSES
    phase = rng.uniform(0, 2 * np.pi, y.shape)
    rows, columns = np.mgrid[0:32, 0:32]
    along = np.cos(angle)[:, None, None] * rows + np.sin(angle)[:, None, None] * columns
    stripes = np.sin(along + phase[:, None, None])[:, None]
    colour = rng.uniform(0.1, 0.3, (len(y), 3, 1, 1))
    x = 0.5 + colour * stripes + rng.normal(0, 0.1, (len(y), 3, 32, 32))
    x = np.clip(x, 0, 1).astype(np.float32)
    return rpucc.load_dataset((x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:]))


class Block(nn.Module):
    """Two convolutions of a ResNet, and what goes around them."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.around: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            conv = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            self.around = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Any) -> Any:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        inner = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        return (inner + self.around(x)).relu()


def resnet18() -> onnx.ModelProto:
    """ResNet-18 as for CIFAR (a first convolution of 3 × 3, no pool), 16 channels for 64."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    width = 16
    for outputs, stride in ((16, 1), (32, 2), (64, 2), (128, 2)):
        layers += [Block(width, outputs, stride), Block(outputs, outputs, 1)]
        width = outputs
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, CLASSES)]
    return rpucc.from_torch(nn.Sequential(*layers), np.zeros((1, 3, 32, 32), np.float32))


def mobilenet_v2() -> onnx.ModelProto:
    """MobileNetV2 as Keras has it, without weights; logits in place of the softmax."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras", reason="Keras is not installed")
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        (32, 32, 3), alpha=0.35, weights=None, classes=CLASSES, classifier_activation=None
    )
    return rpucc.from_keras(model)


MANAGED: dict[str, list[str]] = {
    "resnet18": [],
    # 53 layers: with dw_min 0.001 the loss rises, as steps are too coarse; with exact steps of the
    # same devices (update.pulsed = "mean") it falls as well.
    "mobilenet_v2": ["device.dw_min=0.0001", "update.bl=100"],
}
"""What `rpu-managed-um` needs to train each at the rate of `ideal`."""


def in_torch(model: onnx.ModelProto, data: rpucc.Dataset, key: Any) -> tuple[Any, ...]:
    """Training losses of the epochs, the last test error, and that with statistics measured again.

    All of it by PyTorch.
    """
    network, losses = Network(ir.to_proto(load_model(model))), []
    y = data.y_train.astype(np.int64)
    for epoch in range(EPOCHS):
        order = np.arange(TRAIN)
        shuffle(order, epoch, *key)
        steps = [order[k : k + BATCH] for k in range(0, TRAIN, BATCH)]
        losses.append(np.mean([network.step(data.x_train[s], y[s], RATE) for s in steps]))
    errors = [_error(network, data)]
    network.measure(data.x_train)
    return losses, errors[0], _error(network, data)


def _error(network: Network, data: rpucc.Dataset) -> float:
    return float((network.evaluated(data.x_test).argmax(1) != data.y_test).mean())


@pytest.mark.slow
@pytest.mark.parametrize("make", [resnet18, mobilenet_v2])
def test_a_fresh_network_trains_as_in_torch(make: Callable[[], onnx.ModelProto]) -> None:
    """Keras's MobileNetV2 keeps 0.999 of a running statistic each step: 150 steps are too few."""
    model, data = make(), gratings()
    found = {}
    for target, overrides in {"ideal": [], "rpu-managed-um": MANAGED[make.__name__]}.items():
        program = rpucc.compile(model, target, overrides=overrides, verify=False)
        machine = rpucc.Machine(program, seed=0)
        trainer = rpucc.Trainer(machine)
        epochs = trainer.fit(data, epochs=EPOCHS, batch_size=BATCH, lr=RATE)
        trainer.recalibrate(data, samples=TRAIN)
        again = trainer.evaluate(data.x_test, data.y_test).error
        found[target] = ([e.train_loss for e in epochs], epochs[-1].test_error, again)
    found["PyTorch"] = in_torch(model, data, machine.key)
    for name, (losses, error, again) in found.items():
        print(
            f"{make.__name__} {name}: {np.round(losses, 3)}, test error {100 * error:.1f} %, with "
            f"statistics measured again {100 * again:.1f} %"
        )
    for losses, _, again in found.values():
        assert losses[-1] < 0.7 * losses[0]
        assert again < 0.4
