"""Training through the command line: what it writes, that it repeats, and that it resumes."""

from __future__ import annotations

import csv
import json
import signal
import time
from pathlib import Path

import numpy as np
import pytest


def checkpoint(run: str) -> bytes:
    return Path(run, "checkpoint.safetensors").read_bytes()


def metrics(run: str) -> bytes:
    return Path(run, "metrics.csv").read_bytes()


def test_train_eval_run(cli, tiny_model, tiny_data):
    model, data = tiny_model.name, tiny_data.name  # as a user in that folder would call them
    train = cli("train", model, "--data", data, "--epochs", 6, "--lr", 0.05, "-o", "run")
    assert train.code == 0, train.stderr
    assert "\x1b" not in train.stdout + train.stderr
    assert max(map(len, (train.stdout + train.stderr).splitlines())) <= 100
    assert len(train.stdout.splitlines()) == 3 + 6
    rows = list(csv.DictReader(metrics("run").decode().splitlines()))
    assert [row["epoch"] for row in rows] == list("123456")
    assert float(rows[-1]["test_error"]) < 0.2
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"]) / 2
    shown = f"{float(rows[-1]['test_error']) * 100:.2f} %"
    assert shown in train.stdout.splitlines()[-1]

    evaluated = cli("eval", "run", "--json")
    assert evaluated.code == 0, evaluated.stderr
    found = json.loads(evaluated.stdout)
    assert found["samples"] == 66
    assert found["epochs"] == 6
    assert found["error"] == pytest.approx(float(rows[-1]["test_error"]), abs=0.1)
    assert cli("eval", "run", "--data", tiny_data).stdout.count("error") == 1

    data = np.load(tiny_data)
    np.save("some.npy", data["x"][-30:])
    predicted = cli("run", "run", "some.npy", "-o", "out.npy", "--json")
    assert predicted.code == 0, predicted.stderr
    classes = [p["class"] for p in json.loads(predicted.stdout)["predictions"]]
    assert np.load("out.npy").shape == (30, 3)
    assert np.load("out.npy").argmax(axis=1).tolist() == classes
    assert np.mean(np.array(classes) == data["y"][-30:]) > 0.7


def test_a_target_with_ir_drop(cli, tiny_model, tiny_data):
    how = ("--data", tiny_data, "--epochs", 1, "--lr", 0.05)
    dropped = cli("train", tiny_model, *how, "--set", "periphery.ir_drop=1e4", "-o", "dropped")
    assert dropped.code == 0, dropped.stderr
    assert cli("train", tiny_model, *how, "-o", "plain").code == 0
    assert metrics("dropped") != metrics("plain")
    shown = cli("inspect", "dropped", "--layer", "hidden")
    assert "ir_drop 10000" in shown.stdout


def test_train_json(cli, tiny_model, tiny_data):
    outcome = cli("train", tiny_model, "--data", tiny_data, "--epochs", 2, "-o", "run", "--json")
    assert outcome.code == 0, outcome.stderr
    result = json.loads(outcome.stdout)
    rows = list(csv.DictReader(metrics("run").decode().splitlines()))
    assert [str(e["train_loss"]) for e in result["epochs"]] == [r["train_loss"] for r in rows]
    assert result["checkpoint"] == str(Path("run/checkpoint.safetensors"))
    assert result["target"] == "rpu-managed"
    assert result["weights"] == 8 * 13 + 3 * 9


def test_default_folder_and_compiled_program(cli, tiny_model, tiny_data):
    """A model and the program that it compiles to train to the same weights."""
    assert cli("train", tiny_model, "--data", tiny_data, "--seed", 3).code == 0
    default = "rpucc-runs/tiny-rpu-managed-seed3"
    assert cli("compile", tiny_model, "-o", "compiled.onnx").code == 0
    options = ["--data", tiny_data, "--seed", 3, "-o", "b"]
    assert cli("train", "compiled.onnx", *options).code == 0
    assert checkpoint(default) == checkpoint("b")
    assert metrics(default) == metrics("b")


def test_same_seed_same_bytes(cli, tiny_model, tiny_data):
    for run, seed in (("a", 0), ("b", 0), ("c", 1)):
        options = ["--data", tiny_data, "--epochs", 2, "--seed", seed, "-o", run]
        assert cli("train", tiny_model, *options).code == 0
    assert checkpoint("a") == checkpoint("b")
    assert metrics("a") == metrics("b")
    assert checkpoint("a") != checkpoint("c")
    assert metrics("a") != metrics("c")


def test_threads_do_not_matter(cli):
    """Large enough for the work to be split: a batch of LeNet's reads is."""
    random = np.random.default_rng(0)
    np.savez("d.npz", x=random.integers(0, 256, (110, 28, 28), np.uint8), y=np.arange(110) % 10)
    for run, threads in (("one", 1), ("two", 2)):
        options = ["--data", "d.npz", "--batch-size", 50, "--threads", threads, "-o", run]
        outcome = cli("train", "lenet", *options)
        assert outcome.code == 0, outcome.stderr
    assert checkpoint("one") == checkpoint("two")
    assert metrics("one") == metrics("two")


def test_epoch_by_epoch_is_the_same(cli, tiny_model, tiny_data):
    options = ["--data", tiny_data, "--batch-size", 7]
    assert cli("train", tiny_model, *options, "--epochs", 3, "-o", "whole").code == 0
    assert cli("train", tiny_model, *options, "--epochs", 1, "-o", "parts").code == 0
    assert cli("train", "parts", "--resume", "--epochs", 2).code == 0
    again = cli("train", tiny_model, *options, "--epochs", 3, "-o", "parts", "--resume")
    assert again.code == 0, again.stderr
    assert checkpoint("whole") == checkpoint("parts")
    assert metrics("whole") == metrics("parts")
    assert json.loads(Path("parts/run.json").read_text())["epochs"] == 3


def test_a_learning_rate_schedule_is_kept_in_the_run_folder(cli, tiny_model, tiny_data):
    options = ["--data", tiny_data, "--lr-schedule", "step:1:0.1"]
    assert cli("train", tiny_model, *options, "--epochs", 3, "-o", "whole").code == 0
    assert cli("train", tiny_model, *options, "-o", "parts").code == 0
    assert json.loads(Path("parts/run.json").read_text())["lr_schedule"] == "step:1:0.1"
    assert cli("train", "parts", "--resume", "--epochs", 3).code == 0
    assert checkpoint("whole") == checkpoint("parts")
    other = cli("train", "parts", "--resume", "--lr-schedule", "constant")
    assert other.code == 2
    assert "was started with step:1:0.1, not constant" in other.stderr


def test_a_run_folder_from_before_there_were_schedules(cli, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    record = Path("run/run.json")
    known = json.loads(record.read_text())
    del known["lr_schedule"]
    record.write_text(json.dumps(known))
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0
    assert json.loads(record.read_text())["lr_schedule"] == "constant"


def test_resume_with_other_arguments(cli, files, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    before = files()
    for option in (["--lr", 0.02], ["--seed", 1], ["-t", "ideal"], ["--set", "update.bl=1"]):
        outcome = cli("train", tiny_model, "-o", "run", "--resume", *option)
        assert outcome.code == 2
        assert "was started with" in outcome.stderr
    assert files() == before


def test_force_starts_over(cli, tiny_model, tiny_data):
    options = ["--data", tiny_data, "-o", "run"]
    assert cli("train", tiny_model, *options, "--epochs", 3).code == 0
    first = metrics("run").splitlines()
    assert cli("train", tiny_model, *options, "--force").code == 0
    assert metrics("run").splitlines() == first[:2]


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_and_resume(name, cli, command, tiny_model, tiny_data):
    """Ctrl-C, `kill` and the end of a terminal write a checkpoint."""
    number = getattr(signal, name)
    options = ["--data", tiny_data, "--batch-size", 3]
    process = command("train", tiny_model, *options, "--epochs", 100_000, "-o", "cut")
    deadline = time.monotonic() + 300
    while not Path("cut/metrics.csv").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    assert "Traceback" not in stderr
    last = stderr.splitlines()[-1]
    assert str(Path("cut/checkpoint.safetensors")) in last
    assert "rpucc train cut --resume" in last
    assert "\x1b" not in stdout + stderr

    whole = len(metrics("cut").splitlines()) - 1
    assert cli("train", "cut", "--resume", "--epochs", whole + 2).code == 0
    assert cli("train", tiny_model, *options, "--epochs", whole + 2, "-o", "whole").code == 0
    assert checkpoint("cut") == checkpoint("whole")
    assert metrics("cut") == metrics("whole")
    assert sorted(p.name for p in Path("cut").iterdir()) == [
        "checkpoint.safetensors",
        "events.jsonl",
        "layers.jsonl",
        "metrics.csv",
        "metrics.jsonl",
        "program.rpu.onnx",
        "run.json",
        "target.toml",
    ]


@pytest.mark.parametrize("samples", [1, 300, 600])
def test_ctrl_c_anywhere_in_an_epoch(samples, cli, tiny_model, tiny_data, interrupted, monkeypatch):
    """Also after its last sample (there are 600), before the test."""
    monkeypatch.setattr("rpucc.runtime.training.PROGRESS_SECONDS", 0.0)
    with interrupted(samples):
        cut = cli("train", tiny_model, "--data", tiny_data, "-o", "cut")
    assert cut.code == 130
    assert cut.stderr.splitlines()[-1].startswith(f"interrupted in epoch 1 after {samples} samples")
    resumed = cli("train", "cut", "--resume")
    assert resumed.code == 0, resumed.stderr
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "whole").code == 0
    assert checkpoint("cut") == checkpoint("whole")
    assert metrics("cut") == metrics("whole")


def test_range_that_does_not_fit_is_refused(cli, tiny_model, tiny_data):
    data = np.load(tiny_data)
    np.savez("wide.npz", x=data["x"] * 255, y=data["y"])
    outcome = cli("train", tiny_model, "--data", "wide.npz", "-o", "run")
    assert outcome.code == 1
    assert "beyond the program's input range 0 to 1: compile with --input-range 0" in outcome.stderr


def test_regression_shows_no_error_rate(cli, tiny_model, tiny_data):
    data = np.load(tiny_data)
    targets = np.eye(3, dtype=np.float32)[data["y"]]
    np.savez("targets.npz", x=data["x"], y=targets)
    options = ["--data", "targets.npz", "--loss", "mse", "--epochs", 2, "-o", "run"]
    outcome = cli("train", tiny_model, *options)
    assert outcome.code == 0, outcome.stderr
    rows = [line.split() for line in outcome.stdout.splitlines()[3:]]
    assert [row[2:4] for row in rows] == [["–", "–"]] * 2
    assert float(rows[1][1]) < float(rows[0][1])
    assert "wrong" not in cli("eval", "run").stdout
    assert "–" in cli("inspect", "run").stdout.splitlines()[-1]


def test_inspect_a_run(cli, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "--epochs", 2, "-o", "run").code == 0
    for name in ("run", "run/checkpoint.safetensors"):
        shown = cli("inspect", name)
        assert shown.code == 0, shown.stderr
        assert "after 2 epochs, seed 0" in shown.stdout
        found = json.loads(cli("inspect", name, "--json").stdout)
        assert found["checkpoint"]["samples"] == 1200
        assert len(found["checkpoint"]["history"]) == 2
    layer = json.loads(cli("inspect", "run", "--layer", "hidden", "--json").stdout)
    assert layer["weights"]["min"] < 0 < layer["weights"]["max"]
    (tile,) = layer["tile_list"]
    assert (tile["array"], tile["at"]) == (0, [0, 0])
    assert (tile["rows"], tile["columns"]) == ([0, 8], [0, 13])


@pytest.mark.parametrize("how", [(), ("--lr", 0.01), ("--batch-size", 1), ("--batch-size", 8)])
def test_the_default_rate_of_a_batch_is_talked_about(cli, tiny_model, tiny_data, how):
    """Only where the user chose a batch and no rate."""
    outcome = cli("train", tiny_model, "-t", "ideal", "--data", tiny_data, "-o", "run", *how)
    assert outcome.code == 0
    hint = "is for single samples: a batch of 8 takes their mean, 1/8 as far; --lr 0.08 makes up"
    assert (hint in outcome.stderr) == (how == ("--batch-size", 8))
    assert ("single samples" in outcome.stderr) == (how == ("--batch-size", 8))
    again = cli("train", "run", "--resume", "--epochs", 2)
    assert (again.code, "single samples" in again.stderr) == (0, False)


def test_the_rate_that_is_advised_makes_up_for_the_batch(cli, tiny_model, tiny_data):
    """The loss after an epoch is nearly that of single samples, far from that of 1/8 the rate."""
    found = {}
    for name, how in {
        "one": ("-t", "ideal", "--batch-size", 1, "--lr", 0.01),
        "slow": ("-t", "ideal", "--batch-size", 8, "--lr", 0.01),
        "advised": ("-t", "ideal", "--batch-size", 8, "--lr", 0.08),
    }.items():
        outcome = cli("train", tiny_model, "--data", tiny_data, "-o", name, "--json", *how)
        found[name] = json.loads(outcome.stdout)["epochs"][-1]["test_loss"]
    assert abs(found["advised"] - found["one"]) < 0.2 * (found["slow"] - found["one"])


def test_rates_that_float32_cannot_hold_are_refused_before_anything_is_written(
    cli, tiny_model, tiny_data, files
):
    """By a new training and one from a run, in any epoch; a resumed one keeps its rates."""
    how = ("--data", tiny_data, "--epochs", 3)
    rate = ("--lr", 0.01, "--lr-schedule", "3=1e38")
    before = files()
    new = cli("train", tiny_model, *how, *rate, "-o", "new")
    assert new.code == 1
    assert new.stderr.count("\n") == 1
    assert "learning rate 1e+38 in epoch 3 with dw_min 0.001 and BL 10 is beyond float32" in (
        new.stderr
    )
    assert files() == before
    assert cli("train", tiny_model, "--data", tiny_data, "--epochs", 1, "-o", "run").code == 0
    before = files()
    for beyond in (rate, ("--lr", 1e38), ("--lr", 1e-45)):
        outcome = cli("train", "--from", "run", "-o", "next", *how, *beyond)
        assert outcome.code == 1, outcome.stderr
        assert "beyond float32" in outcome.stderr.splitlines()[-1]
    assert files() == before
