"""Measurements of aihwkit and PyTorch; runs inside a worker of their environment.

The same networks, tiles, data and settings as `ours.py`. The only requirements are torch, NumPy
and, for one side, aihwkit (checked with aihwkit 1.2.0 built from source against torch 2.13).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.algorithms import CELLS, FAST_LR, GRANULARITY, TRANSFERS
from benchmarks.clock import reset_peak, resident_bytes, seconds_per_call

Result = dict[str, Any]
DIGITS = Path(__file__).resolve().parents[1] / "models" / "data" / "mnist_mini.npz"

# update policy -> desired_bl, update_management, update_bl_management
UPDATES = {
    "bl10": (10, False, False),
    "bl10_um": (10, True, False),
    "bl1_um": (1, True, False),
    "bl31_um_ublm": (31, True, True),
}


def prepare(side: str) -> dict[str, str]:
    """Import what the side needs; the versions."""
    versions = {"torch": torch.__version__}
    if side == "aihwkit":
        import aihwkit.nn
        import aihwkit.optim
        import aihwkit.simulator.tiles.analog  # noqa: F401 (measurements start warm)
        from aihwkit.version import __version__

        versions["aihwkit"] = str(__version__)
    return versions


def measure(spec: Result) -> Result:
    """One measurement in this process."""
    torch.set_num_threads(spec["threads"])
    torch.manual_seed(1)
    return MEASURES[spec["what"]](spec)


def rpu_config(update: str) -> Any:
    """The RPU-baseline of the 2017 paper with NM and BM, as aihwkit settings."""
    from aihwkit.simulator.configs import (
        BoundManagementType,
        ConstantStepDevice,
        MappingParameter,
        NoiseManagementType,
        SingleRPUConfig,
    )
    from aihwkit.simulator.parameters import IOParameters, UpdateParameters

    io = {
        "inp_bound": 1.0,
        "inp_res": 1 / 126,
        "out_bound": 12.0,
        "out_noise": 0.06,
        "out_res": 1 / 510,
        "noise_management": NoiseManagementType.ABS_MAX,
    }
    bl, um, ublm = UPDATES[update]
    return SingleRPUConfig(
        device=ConstantStepDevice(
            dw_min=0.001, dw_min_dtod=0.3, dw_min_std=0.3, up_down=0.0, up_down_dtod=0.01,
            w_max=0.6, w_min=-0.6, w_max_dtod=0.3, w_min_dtod=0.3,
        ),
        forward=IOParameters(bound_management=BoundManagementType.ITERATIVE, **io),
        backward=IOParameters(bound_management=BoundManagementType.NONE, **io),
        update=UpdateParameters(desired_bl=bl, update_management=um, update_bl_management=ublm),
        # One array a layer, the bias on it as one more column.
        mapping=MappingParameter(digital_bias=False, max_input_size=0, max_output_size=0),
    )  # fmt: skip


def algorithm_config(algorithm: str, device: str) -> Any:
    """The same arrays with other devices, trained by an algorithm, as `programs` has it."""
    from aihwkit.simulator import configs
    from aihwkit.simulator.parameters import UpdateParameters
    from aihwkit.simulator.presets.devices import ReRamESPresetDevice

    def made() -> Any:
        if device == "exp-step":
            return ReRamESPresetDevice(write_noise_std=0.0)
        return configs.SoftBoundsDevice()

    plain = rpu_config("bl31_um_ublm")
    shared = {"forward": plain.forward, "backward": plain.backward, "mapping": plain.mapping}
    if algorithm == "mixed-precision":
        mixed = configs.MixedPrecisionCompound(device=made())
        return configs.DigitalRankUpdateRPUConfig(device=mixed, **shared)
    shared["update"] = plain.update
    if algorithm == "sgd":
        return configs.SingleRPUConfig(device=made(), **shared)
    every, by_minibatch = TRANSFERS[algorithm]
    common = {"transfer_every": every, "units_in_mbatch": by_minibatch}
    if CELLS.get(algorithm, algorithm) == "tiki-taka":
        cell = configs.TransferCompound([made(), made()], **common)
        return configs.UnitCellRPUConfig(device=cell, **shared)
    common |= {
        "transfer_update": UpdateParameters(
            desired_bl=1, update_bl_management=False, update_management=False
        ),
        "auto_scale": True, "fast_lr": FAST_LR, "auto_granularity": GRANULARITY,
    }  # fmt: skip
    arrays = [made(), made()]
    if algorithm == "agad":
        cell = configs.DynamicTransferCompound(arrays, in_chop_prob=0.1, **common)
    else:
        cell = configs.ChoppedTransferCompound(arrays, in_chop_prob=0.0, **common)
    return configs.UnitCellRPUConfig(device=cell, **shared)


class Builder:
    """Makes the layers of one side: plain PyTorch's, or aihwkit's analog ones."""

    def __init__(self, spec: Result) -> None:
        self.analog = spec["side"] == "aihwkit"
        self.options: Result = {}
        if self.analog and "algorithm" in spec:
            self.options = {"rpu_config": algorithm_config(spec["algorithm"], spec["device"])}
        elif self.analog:
            self.options = {"rpu_config": rpu_config(spec["update"])}

    def conv(self, *args: Any, **kwargs: Any) -> Any:
        """A convolution."""
        if not self.analog:
            return nn.Conv2d(*args, **kwargs)
        from aihwkit.nn import AnalogConv2d

        return AnalogConv2d(*args, **kwargs, **self.options)

    def dense(self, *args: Any, **kwargs: Any) -> Any:
        """A fully connected layer."""
        if not self.analog:
            return nn.Linear(*args, **kwargs)
        from aihwkit.nn import AnalogLinear

        return AnalogLinear(*args, **kwargs, **self.options)

    def sequential(self, *layers: Any) -> Any:
        """A chain of layers."""
        if not self.analog:
            return nn.Sequential(*layers)
        from aihwkit.nn import AnalogSequential

        return AnalogSequential(*layers)

    def optimizer(self, model: Any) -> Any:
        """Gradient descent at 0.01, by pulses where the layers are analog."""
        if not self.analog:
            return torch.optim.SGD(model.parameters(), lr=0.01)
        from aihwkit.optim import AnalogSGD

        optimizer = AnalogSGD(model.parameters(), lr=0.01)
        optimizer.regroup_param_groups(model)
        return optimizer


def lenet(make: Builder) -> Any:
    """The LeNet of the 2017 paper."""
    return make.sequential(
        make.conv(1, 16, 5), nn.Tanh(), nn.MaxPool2d(2),
        make.conv(16, 32, 5), nn.Tanh(), nn.MaxPool2d(2),
        nn.Flatten(), make.dense(512, 128), nn.Tanh(), make.dense(128, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def _digits(part: str) -> tuple[Any, Any]:
    """Images [n, 1, 28, 28] in [0, 1] and labels."""
    with np.load(DIGITS) as data:
        images = torch.from_numpy(data[f"x_{part}"].astype("float32") / 255)
        labels = torch.from_numpy(data[f"y_{part}"].astype("int64"))
    return images.reshape(-1, 1, 28, 28), labels


def lenet_train(spec: Result) -> Result:
    """Samples a second of training steps."""
    images, labels = _digits("train")
    base = reset_peak()
    make = Builder(spec)
    model = lenet(make)
    optimizer, loss = make.optimizer(model), nn.NLLLoss()
    size, cursor, order = spec["batch"], 0, torch.randperm(len(images))
    model.train()

    def step() -> None:
        nonlocal cursor
        index = order[cursor : cursor + size]
        cursor = (cursor + size) % (len(order) - size)
        optimizer.zero_grad()
        loss(model(images[index]), labels[index]).backward()
        optimizer.step()

    seconds = seconds_per_call(step, spec["seconds"])
    return {"samples_per_second": size / seconds, "peak_bytes": resident_bytes("VmHWM") - base}


def lenet_infer(spec: Result) -> Result:
    """Samples a second of the forward pass."""
    images, _ = _digits("test")
    base = reset_peak()
    model = lenet(Builder(spec))
    size, cursor = spec["batch"], 0
    model.eval()

    def step() -> None:
        nonlocal cursor
        model(images[cursor : cursor + size])
        cursor = (cursor + size) % (len(images) - size)

    with torch.no_grad():
        seconds = seconds_per_call(step, spec["seconds"])
    return {"samples_per_second": size / seconds, "peak_bytes": resident_bytes("VmHWM") - base}


def tile(spec: Result) -> Result:
    """Seconds a call of each of the ops on one weight matrix [R, C]; updates in turn take -d."""
    (R, C), batch = spec["size"], spec["batch"]
    x, d = torch.rand(batch, C) * 2 - 1, (torch.rand(batch, R) * 2 - 1) * 0.1
    base = reset_peak()
    weights = (torch.rand(R, C) - 0.5) * 0.4
    if spec["side"] == "torch":
        ops = {
            "forward": lambda: x @ weights.t(),
            "backward": lambda: d @ weights,
            "update": lambda: weights.addmm_(d.neg_().t(), x, alpha=-1e-6),
        }
    else:
        from aihwkit.simulator.tiles.analog import AnalogTile

        if "device" in spec:
            config = algorithm_config("sgd", spec["device"])
        else:
            config = rpu_config(spec["update"])
        made = AnalogTile(R, C, config, False)
        made.set_weights(weights)
        made.set_learning_rate(0.01)
        ops = {
            "forward": lambda: made.joint_forward(x),
            "backward": lambda: made.backward(d),
            "update": lambda: made.update(x, d.neg_()),
        }
        del weights
    result: Result = {}
    with torch.no_grad():
        for op in spec["ops"]:
            result[f"{op}_seconds"] = seconds_per_call(ops[op], spec["seconds"])
    result["resident_per_weight"] = (resident_bytes() - base) / (R * C)
    result["peak_per_weight"] = (resident_bytes("VmHWM") - base) / (R * C)
    return result


class Block(nn.Module):
    """Two 3 x 3 convolutions and the way around them."""

    def __init__(self, make: Builder, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = make.conv(inputs, outputs, 3, stride=stride, padding=1, bias=False)
        self.second = make.conv(outputs, outputs, 3, padding=1, bias=False)
        self.short = nn.Identity()
        if inputs != outputs:
            self.short = make.conv(inputs, outputs, 1, stride=stride, bias=False)

    def forward(self, x: Any) -> Any:
        return torch.relu(self.second(torch.relu(self.first(x))) + self.short(x))


def resnet18(make: Builder) -> Any:
    """ResNet-18 for 32 x 32 images, without batch normalisation."""
    layers: list[Any] = [make.conv(3, 64, 3, padding=1, bias=False), nn.ReLU()]
    inputs = 64
    for stage, width in enumerate((64, 128, 256, 512)):
        layers += [Block(make, inputs, width, 2 if stage else 1), Block(make, width, width, 1)]
        inputs = width
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), make.dense(512, 10, bias=False)]
    return make.sequential(*layers, nn.LogSoftmax(dim=1))


def alexnet(make: Builder) -> Any:
    """AlexNet, ungrouped, without biases."""
    relu, pool = nn.ReLU, lambda: nn.MaxPool2d(3, 2)
    return make.sequential(
        make.conv(3, 96, 11, stride=4, bias=False), relu(), pool(),
        make.conv(96, 256, 5, padding=2, bias=False), relu(), pool(),
        make.conv(256, 384, 3, padding=1, bias=False), relu(),
        make.conv(384, 384, 3, padding=1, bias=False), relu(),
        make.conv(384, 256, 3, padding=1, bias=False), relu(), pool(), nn.Flatten(),
        make.dense(9216, 4096, bias=False), relu(), make.dense(4096, 4096, bias=False), relu(),
        make.dense(4096, 1000, bias=False), nn.LogSoftmax(dim=1),
    )  # fmt: skip


def network(spec: Result) -> Result:
    """Seconds of one training step of a large network."""
    base = reset_peak()
    make = Builder(spec)
    model = {"alexnet": alexnet, "resnet18": resnet18}[spec["net"]](make)
    optimizer, loss = make.optimizer(model), nn.NLLLoss()
    size = 227 if spec["net"] == "alexnet" else 32
    images = torch.rand(spec["batch"], 3, size, size)
    labels = torch.ones(spec["batch"], dtype=torch.int64)
    model.train()

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

    seconds = seconds_per_call(step, spec["seconds"])
    return {"step_seconds": seconds, "peak_bytes": resident_bytes("VmHWM") - base}


MEASURES: dict[str, Callable[[Result], Result]] = {
    "lenet-train": lenet_train,
    "lenet-infer": lenet_infer,
    "tile": tile,
    "network": network,
}
