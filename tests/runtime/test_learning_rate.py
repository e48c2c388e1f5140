"""Learning-rate schedules: the rates of each kind, what is refused, and training by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.errors import RpuccError
from rpucc.runtime.checkpoint import load_checkpoint, save_checkpoint
from rpucc.runtime.learning_rate import parse_schedule
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data


def rates(text: str, epochs: int, lr: float = 1.0) -> list[float]:
    schedule = parse_schedule(text)
    return [schedule(lr, epoch) for epoch in range(epochs)]


def test_rates_of_each_kind() -> None:
    assert rates("exponential:0.5", 4) == [1, 0.5, 0.25, 0.125]
    assert rates("linear:5:0.2", 6) == pytest.approx([1, 0.8, 0.6, 0.4, 0.2, 0.2])
    assert rates("polynomial:5:0.2:2", 6) == pytest.approx([1, 0.65, 0.4, 0.25, 0.2, 0.2])
    assert rates("warmup:3", 5) == [0.25, 0.5, 0.75, 1, 1]
    assert rates("warmup:1+step:1:0.5", 4) == [0.5, 1, 0.5, 0.25]
    assert rates("warmup:2+2=0.1", 5) == pytest.approx([1 / 3, 2 / 3, 1, 0.1, 0.1])
    assert rates("constant", 3, 0.25) == [0.25] * 3
    assert rates("step:2:0.5", 6) == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert rates("step:1:1", 3) == [1, 1, 1]
    assert rates("cosine:5:0.2", 7) == pytest.approx(
        [1, 0.2 + 0.4 * (1 + np.sqrt(0.5)), 0.6, 0.2 + 0.4 * (1 - np.sqrt(0.5)), 0.2, 0.2, 0.2]
    )
    assert rates("1=0.5,3=2e-3,4=.25", 5) == [0.5, 0.5, 0.002, 0.25, 0.25]
    assert rates("3=0.5", 3, 0.1) == [0.1, 0.1, 0.5]


@given(st.integers(1, 50), st.floats(0.1, 1), st.integers(0, 200))
def test_falling_schedules_never_rise_and_never_reach_zero(n: int, f: float, epoch: int) -> None:
    for text in (
        *(f"step:{n}:{f:.6f}", f"cosine:{n + 1}:{f:.6f}", f"exponential:{1 - f / 20:.6f}"),
        *(f"linear:{n + 1}:{f:.6f}", f"polynomial:{n + 1}:{f:.6f}:{n / 5}"),
    ):
        schedule = parse_schedule(text)
        assert 0 < schedule(0.01, epoch + 1) <= schedule(0.01, epoch) <= 0.01


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "linear",
            "step",
            "step:10",
            "step:0:0.5",
            "step:10:0",
            "step:10:1.5",
            "step:1.5:0.5",
        ),
        *("step:10:0.5:2", "step:-1:0.5", "step:10:nan", "cosine:1:0.1", "cosine:30", "cosine:5:0"),
        *("0=0.1", "1=0", "1=-1", "1=inf", "2=0.1,2=0.2", "3=0.1,1=0.2", "1=0.1,", "1=1e999"),
        *("constant:1", " constant", "1:0.1"),
        *("exponential", "exponential:0", "exponential:1.1", "linear:5", "linear:1:0.1"),
        *("polynomial:5:0.1", "polynomial:5:0.1:0", "polynomial:5:0.1:inf", "polynomial:5:2:1"),
        *("plateau", "plateau:3", "plateau:0:0.5", "plateau:3:1", "plateau:3:0", "plateau:3:0.5:0"),
        *("plateau:3:0.5:1.5", "warmup", "warmup:0", "warmup:3+", "warmup:3+nothing"),
        *("warmup:3+warmup:3", "constant+warmup:3"),
    ],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(RpuccError) as caught:
        parse_schedule(text)
    assert str(caught.value).startswith(
        f"learning-rate schedule {text!r}: allowed: constant; step:"
    )
    assert "\n" not in str(caught.value)


def test_training_takes_each_epoch_at_its_rate_also_when_resumed(tmp_path: Path) -> None:
    """At once, and an epoch at a time from checkpoints with the rates written out: equal bits."""
    program, data, text = tiny(), tiny_data(), "2=0.05,3=0.002"
    whole = Machine(program, 3)
    Trainer(whole).fit(data, epochs=3, batch_size=5, lr=0.01, lr_schedule=text)

    resumed, constant = Machine(program, 3), Machine(program, 3)
    for epoch, lr in enumerate((0.01, 0.05, 0.002), start=1):
        Trainer(resumed).fit(data, epochs=epoch, batch_size=5, lr=0.01, lr_schedule=text)
        save_checkpoint(resumed, tmp_path / "c.safetensors")
        resumed = load_checkpoint(tmp_path / "c.safetensors", program)
        Trainer(constant).fit(data, epochs=epoch, batch_size=5, lr=lr)
    for name, array in whole.arrays.items():
        np.testing.assert_array_equal(array.weights, resumed.arrays[name].weights)
        np.testing.assert_array_equal(array.weights, constant.arrays[name].weights)
    assert whole.history == resumed.history == constant.history


def fallen(text: str, watched: list[float], **how: float) -> list[float]:
    schedule = parse_schedule(text)
    return [schedule(1.0, epoch, watched[:epoch], **how) for epoch in range(len(watched) + 1)]


def test_a_plateau_lowers_the_rate_as_often_as_nothing_gets_better() -> None:
    flat = [0.5] * 7
    assert fallen("plateau:2:0.5", flat) == [1, 1, 1, 0.5, 0.5, 0.25, 0.25, 0.125]
    assert fallen("plateau:2:0.1:0.05", flat)[3:] == [0.1, 0.1, 0.05, 0.05, 0.05]
    assert fallen("plateau:1:0.5", [0.9, 0.8, 0.9, 0.7, 0.7]) == [1, 1, 1, 0.5, 0.5, 0.25]
    assert fallen("plateau:1:0.5", [0.9, 0.8, 0.7], min_delta=0.2) == [1, 1, 0.5, 0.25]
    assert fallen("plateau:1:0.5", [float("nan")] * 2) == [1, 0.5, 0.25]
    # The epochs of the warm-up are not waited for.
    assert fallen("warmup:2+plateau:2:0.5", [0.1, 0.1, 0.5, 0.5, 0.5]) == [
        *(1 / 3, 2 / 3, 1, 1, 1, 0.5)
    ]


def test_training_on_a_plateau_goes_on_the_same_when_resumed(tmp_path: Path) -> None:
    program, data = tiny(), tiny_data()
    how = {"batch_size": 5, "lr": 0.05, "lr_schedule": "plateau:1:0.5", "validation": 0.3}
    how |= {"monitor": "error"}
    whole, parts = Machine(program, 3), Machine(program, 3)
    Trainer(whole).fit(data, epochs=5, **how)
    for epoch in range(1, 6):
        Trainer(parts).fit(data, epochs=epoch, **how)
        save_checkpoint(parts, tmp_path / "c.safetensors")
        parts = load_checkpoint(tmp_path / "c.safetensors", program)
    assert parts.history == whole.history
    assert whole.history[-1]["lr"] < whole.history[0]["lr"]
    for name, array in whole.state().items():
        np.testing.assert_array_equal(array, parts.state()[name])


def test_a_rate_that_no_float32_holds_in_the_end_is_refused_at_the_start() -> None:
    machine = Machine(tiny())
    for schedule in ("exponential:0.5", "warmup:3+exponential:0.5"):
        with pytest.raises(RpuccError, match="lies beyond float32"):
            Trainer(machine).fit(tiny_data(), epochs=200, lr_schedule=schedule)
    assert machine.counters.sample == 0


def test_a_wrong_schedule_is_refused_before_anything_is_trained() -> None:
    machine = Machine(tiny())
    with pytest.raises(RpuccError, match="schedule 'poly': allowed"):
        Trainer(machine).fit(tiny_data(), epochs=1, lr_schedule="poly")
    assert machine.counters.sample == 0


@pytest.mark.parametrize("target", ["soft-bounds", "rpu-managed", "rpu-managed-um"])
@pytest.mark.parametrize("schedule", ["constant", "2=1e38"])
def test_rates_whose_gain_no_float32_holds(target: str, schedule: str) -> None:
    """They were turned into indices that lie anywhere in memory."""
    machine = Machine(tiny(target))
    rate = 1e38 if schedule == "constant" else 0.01
    with pytest.raises(
        RpuccError, match=r"1e\+38( in epoch 2)? with dw_min 0\.00\d and BL \d+ is beyond float32"
    ):
        Trainer(machine).fit(tiny_data(), epochs=2, lr=rate, lr_schedule=schedule)
    assert machine.counters.sample == 0


@pytest.mark.parametrize("rate", [1e-46, 1e-39, 1e39, 1e300])
def test_rates_beyond_float32(rate: float) -> None:
    machine = Machine(tiny("ideal"))
    before = {name: array.copy() for name, array in machine.state().items()}
    with pytest.raises(RpuccError, match="lies beyond float32"):
        Trainer(machine).fit(tiny_data(), epochs=1, lr=rate)
    for name, array in machine.state().items():
        np.testing.assert_array_equal(array, before[name])


def test_a_small_step_of_the_devices_is_one_way_there() -> None:
    program = tiny("rpu-managed", "", "device.dw_min=1e-9")
    with pytest.raises(RpuccError, match="with dw_min 1e-09"):
        Trainer(Machine(program)).fit(tiny_data(), epochs=1, lr=1e30)
