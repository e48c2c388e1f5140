"""Rates that float32 does not hold with a layer's own, its devices and its pulses are refused.

By every way there is to give one, and before the first step.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import RpuccError
from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
from rpucc.runtime.learning_rate import parse_schedule
from rpucc.runtime.machine import Machine
from rpucc.runtime.rates import LARGEST, SMALLEST, Rates
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data

TIKI = ("cell.model=tiki-taka", "cell.transfer_every=2")
OF_C = r"layer 'c'.*: learning rate "
BEYOND: dict[str, tuple[tuple[str, ...], float, str, str]] = {
    "gain": (("soft-bounds",), 1e38, "", r"1e\+38 with dw_min 0.002 and BL 10 is beyond"),
    "tiny steps": (
        ("rpu-managed", "device.dw_min=1e-9"), 1e29, "", r"1e\+29 with dw_min 1e-09 and BL 10 is",
    ),
    "scaled up": (
        ("soft-bounds", "layer.c.update.lr_scale=1e5"), 1e31, "",
        r"1e\+31 with dw_min 0.002, BL 10 and lr_scale 100000 is beyond float32; a smaller",
    ),
    "scaled down": (
        ("soft-bounds", "layer.c.update.lr_scale=1e-5"), 1e-35, "",
        r"1e-35 with dw_min 0.002, BL 10 and lr_scale 1e-05 is beyond float32; a larger",
    ),
    "slots of large steps": (
        ("soft-bounds", "device.dw_min=1", "update.bl=255"), 1e-36, "",
        "1e-36 with dw_min 1 and BL 255",
    ),
    "exact": (
        ("ideal", "layer.c.update.lr_scale=1e6"), 1e33, "", r"1e\+33 with lr_scale 1e\+06 is",
    ),
    "mean": (("soft-bounds", "update.pulsed=mean"), 1e38, "", r"1e\+38 with dw_min 0.002"),
    "a fast plane": (
        ("soft-bounds", *TIKI, "cell.fast_lr=1e5"), 1e31, "",
        r"1e\+31 with dw_min 0.002, BL 10 and fast_lr 100000 is",
    ),
    "a slow plane": (
        ("soft-bounds", *TIKI, "cell.transfer_lr=1e-6", "cell.transfer_bl=7"), 1e-33, "",
        r"1e-33 with dw_min 0.002, BL 7 and transfer_lr 1e-06 is",
    ),
    "devices of a plane": (
        ("soft-bounds", *TIKI, "cell.fast.dw_min=1e-9"), 1e29, "", r"1e\+29 with dw_min 1e-09",
    ),
    "a listed epoch": (
        ("soft-bounds",), 0.01, "2=1e38,3=0.01",
        r"1e\+38 in epoch 2 with dw_min 0.002 and BL 10 is",
    ),
    "the last epoch": (
        ("ideal",), 1e-30, "exponential:1e-5", "learning rate 1e-40 in epoch 3: lies beyond",
    ),
    "the first one of a warmup": (
        ("ideal",), 1.3e-38, "warmup:2+constant", "in epoch 1: lies beyond float32",
    ),
    "the one behind a warmup": (
        ("soft-bounds",), 0.01, "warmup:1+1=1e38,2=0.1", r"1e\+38 in epoch 2 with dw_min",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("target", "lr", "schedule", "why"), BEYOND.values(), ids=BEYOND)
def test_refused_before_the_first_step(
    target: tuple[str, ...], lr: float, schedule: str, why: str
) -> None:
    machine = Machine(tiny(target[0], "", *target[1:]))
    before = {name: array.copy() for name, array in machine.state().items()}
    with pytest.raises(RpuccError, match=why) as refused:
        Trainer(machine).fit(
            tiny_data(), epochs=3, batch_size=8, lr=lr, lr_schedule=schedule or "constant"
        )
    assert "\n" not in str(refused.value)
    assert machine.counters.sample == 0
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("target", ["ideal", "soft-bounds", "rpu-managed-um"])
def test_rates_at_the_border_train(target: str) -> None:
    """The largest and the smallest that are allowed: kernels take them, and nothing warns."""
    rates = Rates(Machine(tiny(target)))
    for lr in (min(each.most for each in rates.reaches), max(each.least for each in rates.reaches)):
        machine = Machine(tiny(target))
        machine.forward(tiny_data().x_train[:2] / np.float32(255))
        machine.backward(np.full((2, 3), 0.1, np.float32))
        machine.update(lr)
        for beyond in (lr * 1.01, lr / 1.01):
            if any(not each.least <= beyond <= each.most for each in rates.reaches):
                with pytest.raises(RpuccError, match="beyond float32"):
                    rates.check(beyond)


def test_what_has_a_rate_of_0_is_not_asked() -> None:
    """A frozen layer, and a plane that gets nothing."""
    program = tiny("soft-bounds", "", *TIKI, "layer.c.update.lr_scale=0", "cell.transfer_lr=0")
    assert {each.what for each in Rates(Machine(program)).reaches if each.given} == {
        "layer 'fc' (fast): "
    }


def own_loop(machine: Machine, lr: float) -> None:
    machine.forward(tiny_data().x_train[:2] / np.float32(255))
    machine.backward(np.full((2, 3), 0.1, np.float32))
    machine.update(lr)


def resumed(machine: Machine, lr: float) -> None:
    Trainer(machine).fit(tiny_data(), epochs=1, batch_size=8)
    Trainer(machine).fit(tiny_data(), epochs=2, batch_size=8, lr=lr)


@pytest.mark.parametrize("use", [own_loop, resumed])
@pytest.mark.parametrize("lr", [1e38, 1e-42])
def test_other_ways_to_train(use: Callable[[Machine, float], None], lr: float) -> None:
    machine = Machine(tiny("soft-bounds"))
    with pytest.raises(RpuccError, match="beyond float32"):
        use(machine, lr)


@pytest.mark.parametrize(
    ("device", "lr", "scale"),
    [("soft-bounds", 1e38, 1), ("soft-bounds", 1e33, 1e5), ("ideal", 1e39, 1), ("ideal", 1e-40, 1)],
)
def test_an_array_by_itself(device: str, lr: float, scale: float) -> None:
    update = {"lr_scale": scale, "pulsed": device != "ideal"}
    array = rpucc.Array(device, 3, 4, update=update)
    with pytest.raises(RpuccError, match="is beyond float32"):
        array.update(np.ones(4), np.ones(3), lr)
    assert not array.weights.any()
    rpucc.Array(device, 3, 4, update={**update, "lr_scale": 0}).update(np.ones(4), np.ones(3), lr)


def test_a_plateau_that_falls_too_far_ends_the_training(tmp_path: Path) -> None:
    """What it comes to is known when its epoch begins; what was trained is kept."""
    machine = Machine(tiny("ideal"))
    with pytest.raises(RpuccError, match=r"1e-40 in epoch \d: lies beyond float32"):
        Trainer(machine).fit(
            tiny_data(), epochs=9, batch_size=8, lr=1e-30, lr_schedule="plateau:1:1e-10",
            monitor="train-error", checkpoint=tmp_path / "c.safetensors",
        )  # fmt: skip
    assert load_checkpoint(tmp_path / "c.safetensors", machine.program).counters.epoch > 0
    save_checkpoint(machine, tmp_path / "d.safetensors")


@pytest.mark.parametrize(
    ("schedule", "first", "epochs", "expected"),
    [
        ("constant", 0, 5, [0, 4]),
        ("constant", 3, 5, [3, 4]),
        ("warmup:2+cosine:9:0.1", 0, 9, [0, 1, 2, 8]),
        ("3=1,5=2,99=3", 0, 9, [0, 2, 4, 8]),
        ("warmup:1+3=1", 0, 9, [0, 1, 3, 8]),
        ("warmup:2+plateau:1:0.5", 0, 2**31, [0, 1, 2]),
        ("plateau:1:0.5", 4, 9, []),
    ],
)
def test_the_epochs_with_the_extreme_rates(
    schedule: str, first: int, epochs: int, expected: list[int]
) -> None:
    found = parse_schedule(schedule)
    assert found.extremes(first, epochs) == expected
    if not found.watches:
        rates = [found(0.3, epoch) for epoch in range(first, epochs)]
        tried = [found(0.3, epoch) for epoch in expected]
        assert (min(rates), max(rates)) == (min(tried), max(tried))


def test_limits_are_those_of_float32() -> None:
    assert np.float32(SMALLEST) == np.finfo(np.float32).tiny
    assert np.float32(LARGEST) == np.finfo(np.float32).max
