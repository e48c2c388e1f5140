"""`--recalibrate` of `rpucc eval` and `rpucc train`: statistics of batch norms measured again."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from onnx import helper

from rpucc.runs.record import read_record
from rpucc.runs.repeat import repeat_command
from rpucc.runtime.machine import Machine

NOISY = ("--set", "periphery.read_noise=0.3", "--set", "batch_norm.policy=frozen")
STATISTICS = ("mean", "var")
DATA = "tiny.npz"

pytestmark = pytest.mark.usefixtures("tiny_data")


def norm(x: str, y: str) -> object:
    names = [x, "scale", "shift", "mean", "var"]
    return helper.make_node("BatchNormalization", names, [y], "norm")


@pytest.fixture
def model(make_model) -> Path:
    """12 inputs, 8 hidden units with a batch norm, 3 classes."""
    random = np.random.default_rng(1)
    nodes = [
        helper.make_node("Gemm", ["x", "w1"], ["h"], "hidden", transB=1),
        norm("h", "n"),
        helper.make_node("Tanh", ["n"], ["a"], "tanh"),
        helper.make_node("Gemm", ["a", "w2"], ["y"], "classes", transB=1),
    ]
    return make_model(
        "norm.onnx",
        nodes,
        ["N", 12],
        w1=random.normal(0, 0.2, (8, 12)),
        w2=random.normal(0, 0.2, (3, 8)),
        scale=np.ones(8),
        shift=np.zeros(8),
        mean=np.full(8, 3.0),  # what nothing like these data has
        var=np.full(8, 0.5),
    )


@pytest.fixture
def run(cli, model) -> str:
    """A run of one epoch."""
    options = ["--data", DATA, *NOISY, "--epochs", 1, "--seed", 4]
    outcome = cli("train", model, *options, "-o", "run")
    assert outcome.code == 0, outcome.stderr
    return "run"


def statistics(folder: str) -> dict[str, np.ndarray]:
    machine = Machine.load(folder)
    return {name: machine.values[name].copy() for name in STATISTICS}


def events(folder: str) -> list[str]:
    lines = Path(folder, "events.jsonl").read_text().splitlines()
    return [json.loads(line)["event"] for line in lines]


def test_eval_says_what_it_does_and_leaves_the_run_as_it_was(cli, run, files):
    before = files()
    shown = cli("eval", run, "--recalibrate", DATA)
    assert shown.code == 0, shown.stderr
    assert files() == before
    found = json.loads(cli("eval", run, "--recalibrate", DATA, "--json").stdout)
    plain = json.loads(cli("eval", run, "--json").stdout)
    timeless = {key: value for key, value in plain.items() if key in found["before"]}
    assert {**found["before"], "seconds": 0} == {**timeless, "seconds": 0}
    assert found["error"] < found["before"]["error"] - 0.1
    measured = found["recalibration"]
    assert (measured["samples"], measured["reads"], measured["left"]) == (512, 512, {})
    (moved,) = measured["batch_norms"]
    assert (moved["batch_norms"], moved["channels"], moved["values"]) == (["norm"], 8, 512)
    for text in (
        f"before    error {100 * found['before']['error']:.2f} %",
        f"after     error {100 * found['error']:.2f} %",
        "measured  1 batch norm over 512 samples of tiny.npz: reads 512 of single arrays",
        "norm               8           512",
    ):
        assert text in shown.stdout


def test_a_new_run_folder_keeps_it(cli, run):
    kept = cli("eval", run, "--recalibrate", DATA, "--samples", 100, "-o", "new", "--json")
    assert kept.code == 0, kept.stderr
    found = json.loads(kept.stdout)
    assert (found["run"], found["recalibration"]["samples"]) == ("new", 100)
    again = json.loads(cli("eval", "new", "--json").stdout)
    assert (again["error"], again["loss"]) == (found["error"], found["loss"])
    assert "after 1 earlier epoch" in cli("eval", "new").stdout
    assert events("new") == ["started", "recalibrated"]
    record = read_record(Path("new/run.json"))
    assert record.recalibrate == str(Path(DATA).resolve())
    assert (record.samples, record.seed) == (100, 4)
    assert record.origin == {"run": str(Path(run).resolve()), "epochs": 1, "samples": 600}
    for name, array in statistics(run).items():
        assert (statistics("new")[name] != array).all()

    assert cli("export", "new", "-o", "new.onnx").code == 0
    assert cli("report", "new").code == 0
    outcome = cli("train", "new", "--resume")
    assert outcome.code == 0, outcome.stderr
    assert events("new")[2:] == ["resumed", "epoch", "finished"]
    started = cli(
        "train", "--from", run, "--recalibrate", DATA, "--samples", 100, "-o", "other",
        "--lr", 0.01,
    )  # fmt: skip
    assert started.code == 0, started.stderr
    checkpoints = [Path(name, "checkpoint.safetensors").read_bytes() for name in ("new", "other")]
    assert checkpoints[0] == checkpoints[1]


def test_of_another_checkpoint_and_a_rate_that_fell(cli, model):
    """What goes on from the new folder is what `train --from` would start there."""
    options = ["--data", DATA, *NOISY, "--epochs", 3, "--lr-schedule", "cosine:3:0.1"]
    kept = ["--keep", "every:1", "--validation", "0.1", "--patience", 9]
    assert cli("train", model, *options, *kept, "-o", "run").code == 0
    place = Path("run/checkpoint-epoch0002.safetensors").resolve()
    of = ["--checkpoint", 2, "--recalibrate", DATA, "-o", "new"]
    outcome = cli("eval", "run", *of)
    assert outcome.code == 0, outcome.stderr
    outcome = cli("train", "--from", place, "--recalibrate", DATA, "-o", "other")
    assert outcome.code == 0, outcome.stderr
    assert cli("train", "new", "--resume").code == 0
    records = [read_record(Path(name, "run.json")) for name in ("new", "other")]
    assert records[0].model_copy(update={"samples": records[1].samples}) == records[1]
    assert records[0].origin is not None
    assert records[0].origin["run"] == str(place)
    checkpoints = [Path(name, "checkpoint.safetensors").read_bytes() for name in ("new", "other")]
    assert checkpoints[0] == checkpoints[1]


def test_a_training_starts_from_what_was_measured(cli, model):
    options = ["--data", DATA, *NOISY, "--epochs", 2, "--recalibrate", DATA]
    outcome = cli("train", model, *options, "-o", "whole")
    assert outcome.code == 0, outcome.stderr
    said = "measured again: 1 batch norm over 512 samples of tiny.npz: reads 512 of single arrays"
    assert said in outcome.stderr
    assert events("whole") == ["started", "recalibrated", "epoch", "epoch", "finished"]
    assert cli("train", model, *options, "--epochs", 1, "-o", "parts").code == 0
    assert cli("train", "parts", "--resume", "--epochs", 2).code == 0
    checkpoints = [Path(name, "checkpoint.safetensors").read_bytes() for name in ("whole", "parts")]
    assert checkpoints[0] == checkpoints[1]
    assert events("parts").count("recalibrated") == 1
    refused = cli("train", "parts", "--resume", "--recalibrate", "mnist-mini")
    assert (refused.code, "a resumed training keeps it" in refused.stderr) == (2, True)
    command = repeat_command(read_record(Path("whole/run.json")), "whole", portable=False)
    assert f"--recalibrate {Path(DATA).resolve()}" in command
    found = json.loads(cli("train", model, *options, "--json", "-o", "third").stdout)
    assert found["recalibration"]["samples"] == 512
    assert found["recalibration"]["data"] == DATA


def test_what_was_folded_is_named(cli, model, files):
    before = files()
    outcome = cli("train", model, "--data", DATA, "--recalibrate", DATA, "-o", "new")
    assert outcome.code == 1
    said = outcome.stderr.splitlines()[-1]
    assert said.startswith(
        "Error: tiny: has no batch norm that can be measured again: 'norm': fold"
    )
    assert "--set batch_norm.policy=frozen or batch" in said
    assert files() == before


def test_what_cannot_be_is_refused(cli, run, tiny_model, files):
    Path("there").mkdir()
    Path("there/metrics.csv").write_text("mine")
    assert cli("train", tiny_model, "--data", DATA, "-o", "plain").code == 0
    before = files()
    again = ("--recalibrate", DATA)
    for arguments, code, said in (
        (("eval", run, *again, "--by-layer"), 2, "--recalibrate: no effect on eval --by-layer"),
        (("eval", run, "--samples", 3), 2, "no effect on eval without --by-layer or --recal"),
        (("eval", run, "-o", "new"), 2, "no effect on eval without --by-layer or --recalibrate"),
        (("eval", run, *again, "-o", run), 2, "-o run: is the run that is measured"),
        (("eval", run, *again, "-o", "there"), 1, "there: is no run folder, but holds a metrics"),
        (("eval", run, *again, "-o", "plain"), 1, "plain: holds a checkpoint already"),
        (("eval", run, "--recalibrate", "none.npz"), 1, "none.npz"),
        (("eval", run, *again, "--samples", 1), 1, "1 sample gives a channel one number"),
        (("eval", run, *again, "--samples", 0), 2, "--samples"),
        (("eval", "plain", *again), 1, "has no batch norm to measure again"),
        (("train", "--from", "plain", *again, "-o", "new"), 1, "has no batch norm to measure"),
        (("train", "--from", run, "--samples", 9, "-o", "new"), 2, "--samples: how many"),
    ):
        outcome = cli(*arguments)
        assert outcome.code == code, (arguments, outcome)
        assert said in outcome.stderr.splitlines()[-1]
        assert files() == before
