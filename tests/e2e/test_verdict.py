"""The verdict on real small trainings: right about each kind, silent on good ones."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.runtime.data import Dataset
from rpucc.runtime.metrics import EpochMetrics
from rpucc.runtime.verdict import Verdict, verdict


@cache
def digits(train: int = 1500, test: int = 500) -> Dataset:
    data = rpucc.load_dataset("mnist-mini")
    return replace(
        data, x_train=data.x_train[:train], y_train=data.y_train[:train],
        x_test=data.x_test[:test], y_test=data.y_test[:test],
    )  # fmt: skip


def trained(target: str, *overrides: str, lr: float = 0.01, model: str = "lenet") -> Verdict:
    """The verdict on one epoch of the built-in digits, one at a time."""
    program = rpucc.compile(model, target, overrides=overrides, verify=False)
    machine = rpucc.Machine(program, seed=0)
    rpucc.Trainer(machine).fit(digits(), epochs=1, lr=lr)
    return verdict(machine, digits())


def kinds(found: Verdict) -> list[str]:
    return [cause.kind for cause in found.causes]


@pytest.mark.parametrize("target", ["rpu-managed", "rpu-managed-um", "ideal"])
def test_a_good_training_is_passed_over_in_silence(target: str) -> None:
    found = trained(target)
    assert found.found < 0.3
    assert (found.learned, kinds(found), str(found)) == ("well", [], "")


def test_without_management_noise_is_named() -> None:
    found = trained("rpu-baseline")
    assert found.learned == "nothing"
    assert found.found == pytest.approx(found.chance, abs=0.1)
    assert kinds(found)[0] == "noise"
    assert "fc2" in found.causes[0].layers
    assert "conv1" not in found.causes[0].layers  # it has no backward reads
    assert "--set management.noise_backward=always" in str(found)


def test_a_rate_beyond_the_pulses() -> None:
    found = trained("rpu-managed", lr=5)
    assert found.learned == "nothing"
    assert kinds(found) == ["gain"]
    assert found.causes[0].figure == pytest.approx(500)
    assert "500 times BL · dw_min = 0.01" in str(found)
    assert "try --lr 0.01" in str(found)


@pytest.mark.parametrize("target", ["rpu-managed", "ideal"])
def test_a_rate_that_moves_nothing(target: str) -> None:
    found = trained(target, lr=1e-6)
    assert found.learned == "nothing"
    assert kinds(found) == ["still"]
    assert "try a larger rate: --lr 0.01" in str(found)


def test_a_rate_that_diverges_where_updates_are_exact() -> None:
    found = trained("ideal", lr=5)
    assert (found.learned, kinds(found)) == ("nothing", ["diverged"])
    assert "try --lr 0.05" in str(found)


def test_symmetry_points_far_from_zero() -> None:
    found = trained("soft-bounds-asymmetric")
    assert found.learned == "nothing"
    assert kinds(found) == ["symmetry"]
    assert found.causes[0].figure == pytest.approx(1.45, abs=0.15)
    assert "--set calibration.zero_shift=true" in str(found)


def test_steps_that_differ_at_every_weight() -> None:
    """Constant steps have no symmetry point that could be shifted: that is not what is advised."""
    found = trained("rpu-managed", "device.up_down=0.3")
    assert found.learned == "nothing"
    assert kinds(found) == ["asymmetry"]
    assert found.causes[0].figure == pytest.approx(0.6, abs=0.05)
    assert "zero_shift" not in str(found)


def test_coarse_steps() -> None:
    found = trained("rpu-managed", "device.dw_min=0.1", model="mlp")
    assert found.learned != "well"
    assert "states" in kinds(found)
    assert "12 steps of dw_min = 0.1" in str(found)


def test_bounds_that_are_near_for_soft_bounds() -> None:
    """Every pulse pulls a weight to its symmetry point, here by 1 % of the way."""
    found = trained("soft-bounds", "device.w_max=0.2", "device.w_min=-0.2")
    assert found.learned != "well"
    assert "states" in kinds(found)
    assert "only 200 steps of dw_min = 0.002" in str(found)


def test_reads_that_saturate() -> None:
    settings = ("periphery.bound=0.5", "management.bound_forward=false")
    found = trained("rpu-managed", *settings, model="mlp")
    assert kinds(found) == ["saturated"]
    assert "--set management.bound_forward=true" in str(found)


def test_weights_cut_to_their_bounds() -> None:
    settings = ("device.w_max=0.01", "device.w_min=-0.01", "mapping.weight_scaling=off")
    found = trained("rpu-managed", *settings, model="mlp")
    assert kinds(found)[0] == "clipped"
    assert "--set mapping.weight_scaling=auto" in str(found)


def test_labels_that_are_not_balanced() -> None:
    """Guessing is the most frequent class, of which there are nine in ten here."""
    labels = np.where(np.arange(1500) % 10 == 0, digits().y_train, 3)
    data = replace(digits(), y_train=labels, y_test=labels[:500])
    program = rpucc.compile("mlp", "rpu-managed", verify=False)
    machine = rpucc.Machine(program, seed=0)
    rpucc.Trainer(machine).fit(data, epochs=1, lr=1e-6)
    found = verdict(machine, data)
    assert found.chance == pytest.approx(0.09, abs=0.02)
    machine.history[-1]["test_error"] = machine.history[-1]["train_error"] = found.chance
    assert verdict(machine, data).learned == "nothing"
    machine.history[-1]["test_error"] = 0.01
    assert verdict(machine, data).learned == "well"


def test_a_regression_is_held_against_the_mean(tiny_model: Path, tiny_data: Path) -> None:
    arrays = np.load(tiny_data)
    x, y = arrays["x"], np.eye(3, dtype=np.float32)[arrays["y"]] * 2 - 1
    data = Dataset("targets", x[:600], y[:600], x[600:], y[600:])
    program = rpucc.compile(tiny_model, "rpu-managed", loss="mse")
    for lr, learned in ((1e-7, "nothing"), (0.05, "well")):
        machine = rpucc.Machine(program)
        rpucc.Trainer(machine).fit(data, epochs=6, lr=lr)
        found = verdict(machine, data)
        assert (found.measure, found.learned) == ("loss", learned)
        assert found.chance == pytest.approx(float(np.var(y[600:], axis=0).mean()), rel=0.05)
        assert bool(str(found)) == (learned == "nothing")


def test_it_needs_an_epoch(tiny_model: Path, tiny_data: Path) -> None:
    machine = rpucc.Machine(rpucc.compile(tiny_model, "rpu-managed"))
    with pytest.raises(rpucc.RpuccError, match="one complete epoch"):
        rpucc.verdict(machine, digits())


# ---------------------------------------------------------------- the command line


def test_train_says_it_at_the_end_and_hints_after_the_first_epoch(
    cli, tiny_model, tiny_data
) -> None:
    options = ["--data", tiny_data, "--lr", 1e-6, "--epochs", 3]
    done = cli("train", tiny_model, *options, "-o", "run", "--json")
    assert done.code == 0
    lines = done.stderr.splitlines()
    assert [line.startswith("nothing learned so far: ") for line in lines].count(True) == 1
    assert [line.startswith("verdict: nothing was learned") for line in lines].count(True) == 1
    assert max(len(line) for line in lines if str(tiny_data) not in line) <= 100
    found = json.loads(done.stdout)["verdict"]
    assert (found["learned"], found["causes"][0]["kind"]) == ("nothing", "still")
    good = cli("train", tiny_model, "--data", tiny_data, "--lr", 0.05, "--epochs", 6, "-o", "good")
    assert "verdict" not in good.stderr
    assert "so far" not in good.stderr


@pytest.mark.parametrize("limit", ["0.25", "25%", "25"])
def test_fail_above(cli, tiny_model, tiny_data, limit: str) -> None:
    options = ["--data", tiny_data, "--fail-above", limit]
    bad = cli("train", tiny_model, *options, "--lr", 1e-6, "-o", "bad")
    assert bad.code == 1
    error = bad.stderr.splitlines()[-1]
    assert error.startswith(f"Error: --fail-above {limit}: the test error ")
    assert error.endswith("% is above 25.00 %")
    assert sorted(path.name for path in Path("bad").iterdir()) == [
        *(
            "checkpoint.safetensors",
            "events.jsonl",
            "layers.jsonl",
            "metrics.csv",
            "metrics.jsonl",
            "program.rpu.onnx",
        ),
        *("run.json", "target.toml"),
    ]
    assert cli("eval", "bad").code == 0
    resumed = cli("train", "bad", "--resume", "--epochs", 1, "--fail-above", "0.9")
    assert resumed.code == 0, resumed.stderr  # it is no part of what the run folder keeps
    good = cli("train", tiny_model, *options, "--lr", 0.05, "--epochs", 6, "-o", "good")
    assert good.code == 0, good.stderr


def test_fail_above_of_a_regression_is_a_loss(cli, tiny_model, tiny_data) -> None:
    arrays = np.load(tiny_data)
    np.savez("t.npz", x=arrays["x"], y=np.eye(3, dtype=np.float32)[arrays["y"]])
    options = ["--data", "t.npz", "--loss", "mse", "--lr", 1e-6]
    assert cli("train", tiny_model, *options, "-o", "a", "--fail-above", "5").code == 0
    bad = cli("train", tiny_model, *options, "-o", "b", "--fail-above", "0.01")
    assert bad.code == 1
    assert "--fail-above 0.01: the test loss " in bad.stderr.splitlines()[-1]


@pytest.mark.parametrize("limit", ["", "five", "-1", "nan", "inf", "%"])
def test_limits_that_are_none(cli, tiny_model, files, limit: str) -> None:
    before = files()
    done = cli("train", tiny_model, "--fail-above", limit, "-o", "run")
    assert done.code == 2
    assert "needs an error, as in 0.05 or 5%" in done.stderr
    assert files() == before


def test_older_metrics_without_a_rate(tiny_model: Path, tiny_data: Path) -> None:
    """History of a checkpoint from before rates were recorded."""
    arrays = np.load(tiny_data)
    x, y = arrays["x"], arrays["y"]
    data = Dataset("tiny", x[:600], y[:600], x[600:], y[600:])
    machine = rpucc.Machine(rpucc.compile(tiny_model, "rpu-managed"))
    rpucc.Trainer(machine).fit(data, epochs=1, lr=1e-6)
    del machine.history[0]["lr"]
    assert EpochMetrics.from_record(machine.history[0]).lr is None
    assert verdict(machine, data).learned == "nothing"
