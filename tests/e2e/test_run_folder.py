"""What a run folder says besides metrics and weights: circumstances, events, the target."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.runs.about import commit
from rpucc.runs.events import Event, append
from rpucc.runs.step_log import read_steps
from rpucc.target.target import Target

from .test_bad_input import refused


def record(run: str = "run") -> dict:
    return json.loads(Path(run, "run.json").read_text())


def event_lines(path: str = "run/events.jsonl") -> list[dict]:
    """Lines of the file that are JSON; a killed writer leaves others."""
    found = []
    for line in Path(path).read_text().splitlines():
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def events(run: str = "run") -> list[str]:
    return [event["event"] for event in event_lines(f"{run}/events.jsonl")]


def test_run_json_says_what_a_run_was_made_with(cli, tiny_model, tiny_data):
    assert (
        cli("train", tiny_model, "--data", tiny_data, "--set", "update.bl=3", "-o", "run").code == 0
    )
    found = record()
    assert found["command"].startswith("rpucc")
    assert set(found["versions"]) >= {"python", "rpucc", "numpy", "numba", "onnxruntime"}
    assert found["versions"]["rpucc"] == rpucc.__version__
    assert found["commit"] is None or re.fullmatch("[0-9a-f]{40}", found["commit"])
    assert {"processor", "compiled_for", "blas", "cpus"} <= set(found["machine"])
    assert re.fullmatch("[0-9a-f]{64}", found["data_digest"])
    assert found["data_samples"]["train"] > 0
    assert found["timings"]["epochs"] == 1
    assert found["timings"]["training_seconds"] > 0
    again = Target.load("run/target.toml")
    assert again.update.bl == 3
    assert again == rpucc.Program.load("run/program.rpu.onnx").target


def test_events_say_what_happened(cli, tiny_model, tiny_data, monkeypatch):
    options = ("--data", tiny_data, "-o", "run")
    assert cli("train", tiny_model, *options, "--epochs", 2).code == 0
    assert events() == ["started", "epoch", "epoch", "finished"]
    assert cli("train", "run", "--resume", "--epochs", 3).code == 0
    assert events()[4:] == ["resumed", "epoch", "finished"]
    assert record()["timings"]["epochs"] == 3

    def diverged(_: object) -> None:
        raise rpucc.RpuccError("the loss is not finite")

    monkeypatch.setattr("rpucc.runtime.training.Training._check_loss", diverged)
    assert cli("train", tiny_model, *options, "--force").code == 1
    assert events() == ["started", "failed"]
    assert event_lines()[-1]["reason"] == "the loss is not finite"


def test_a_line_that_a_killed_writer_left_half_is_ended_and_passed_over(tmp_path):
    path = tmp_path / "events.jsonl"
    append(path, Event("started"))
    with path.open("a") as stream:
        stream.write('{"time": "2026-')
    append(path, Event("resumed"))
    assert [event["event"] for event in event_lines(path)] == ["started", "resumed"]
    assert len(path.read_text().splitlines()) == 3


def test_a_killed_training_goes_on_from_its_start(cli, tiny_model, tiny_data):
    """What is there before the first step is enough to resume."""
    options = ("--data", tiny_data, "--lr", 0.05)
    assert cli("train", tiny_model, *options, "--epochs", 2, "-o", "whole").code == 0
    from rpucc.compiler.compile import compile_model
    from rpucc.runs.data import load_data
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.start import start

    run = RunFolder(Path("whole"))
    program = compile_model("tiny.onnx", "rpu-managed")
    start(RunFolder(Path("cut")), program, run.read_record(), load_data("tiny.npz", None, program))
    assert cli("train", "cut", "--resume").code == 0
    for name in ("metrics.csv", "checkpoint.safetensors"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes()


def test_other_data_of_the_same_shape_are_refused(cli, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    arrays = dict(np.load(tiny_data))
    name = next(name for name in arrays if name.startswith("x"))
    arrays[name] = arrays[name][::-1]
    np.savez(tiny_data, **arrays)
    refused(cli("train", "run", "--resume", "--epochs", 2), "is not what its training was started")
    for command in (("eval", "run"), ("eval", "run", "--by-layer", "--samples", 5)):
        measured = cli(*command)
        assert measured.code == 0
        assert f"{tiny_data}: is not what run was trained" in measured.stderr
    np.savez("others.npz", **arrays)
    assert (
        "is not what" not in cli("eval", "run", "--data", "others.npz").stderr
    )  # so it was asked for
    changed = json.loads(Path("run/run.json").read_text())
    del changed["data_digest"]  # as in folders of earlier versions
    Path("run/run.json").write_text(json.dumps(changed))
    assert "is not what" not in cli("eval", "run").stderr
    resumed = cli("train", "run", "--resume", "--epochs", 2)
    assert resumed.code == 0
    assert "run: has no SHA-256 of its data" in resumed.stderr


def test_a_folder_of_an_earlier_version_is_read(cli, tiny_model, tiny_data):
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    Path("run/program.rpu.onnx").rename("run/program.onnx")
    Path("run/events.jsonl").unlink()
    Path("run/target.toml").unlink()
    assert cli("eval", "run").code == 0
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0
    assert not Path("run/program.rpu.onnx").exists()
    assert rpucc.Machine.load("run").counters.epoch == 2


@pytest.mark.parametrize("name", ["ideal", "rpu-managed-um", "soft-bounds-asymmetric"])
def test_a_target_written_is_read_as_the_same(name):
    from rpucc.target.write import as_toml

    changes = ["calibration.zero_shift=true"] if "soft" in name else []
    target = Target.load(name, changes)
    assert Target.from_toml(as_toml(target)) == target


def test_a_target_with_rules_and_odd_names_is_written_whole():
    from rpucc.target.write import as_toml

    text = (
        'name = "mine"\ndescription = "a \\"b\\" ü"\n'
        + """
        [[array]]
        name = "small"
        rows = 64
        cols = 64
        t_read = 1e-8
        [device]
        model = "constant-step"
        [[layer]]
        match = "conv*"
        [layer.update]
        bl = 3
        [[layer]]
        match = 'fc"1'
        analog = false
    """
    )
    target = Target.from_toml(text)
    assert Target.from_toml(as_toml(target)) == target


def test_the_commit_of_a_checkout_is_read_from_its_files(tmp_path):
    from rpucc.runs.about import _of_checkout

    assert commit() is None or len(commit() or "") == 40
    git, sha = tmp_path / ".git", "0" * 39 + "a"
    (git / "refs/heads").mkdir(parents=True)
    assert _of_checkout(tmp_path) is None
    (git / "HEAD").write_text(f"{sha}\n")
    assert _of_checkout(tmp_path) == sha
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    assert _of_checkout(tmp_path) is None
    (git / "packed-refs").write_text(f"# pack\n{sha} refs/heads/main\n")
    assert _of_checkout(tmp_path) == sha
    (git / "refs/heads/main").write_text("b" * 40 + "\n")
    assert _of_checkout(tmp_path) == "b" * 40


# ---------------------------------------------------------------- metrics.jsonl


def test_the_loss_of_steps_is_that_of_the_epoch(cli, tiny_model, tiny_data):
    options = ("--data", tiny_data, "--epochs", 2, "--batch-size", 7, "-o", "run")
    assert cli("train", tiny_model, *options).code == 0
    found = read_steps(Path("run/metrics.jsonl"))
    samples = record()["data_samples"]["train"]
    for epoch in (1, 2):
        mine = [line for line in found if line.epoch == epoch]
        assert [line.samples for line in mine] == [*range(7, samples, 7), samples]
        sizes = np.diff([0, *(line.samples for line in mine)])
        mean = sum(size * line.loss for size, line in zip(sizes, mine, strict=True)) / samples
        history = rpucc.Machine.load("run").history
        assert mean == pytest.approx(history[epoch - 1]["train_loss"])


def test_a_long_epoch_has_few_lines(cli, tiny_model, tiny_data, monkeypatch):
    monkeypatch.setattr("rpucc.runs.step_log.LINES", 10)
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    found = read_steps(Path("run/metrics.jsonl"))
    assert len(found) == 10
    assert found[-1].samples == record()["data_samples"]["train"]


@pytest.mark.parametrize("samples", [1, 57, 600, 700])
def test_resumed_lines_are_those_of_a_training_that_was_never_stopped(
    samples, cli, tiny_model, tiny_data, interrupted, monkeypatch
):
    monkeypatch.setattr("rpucc.runs.step_log.LINES", 30)
    options = ("--data", tiny_data, "--epochs", 2)
    assert cli("train", tiny_model, *options, "-o", "whole").code == 0
    with interrupted(samples):
        assert cli("train", tiny_model, *options, "-o", "cut").code == 130
    assert events("cut")[-1] == "interrupted"
    with Path("cut/metrics.jsonl").open("a") as stream:  # what a killed one leaves beyond it
        line = {"epoch": 2, "samples": 600, "loss": 1.0, "lr": 1.0, "loss_sum": 1.0, "weight": 1.0}
        stream.write(json.dumps(line) + '\n{"ep')
    assert cli("train", "cut", "--resume").code == 0
    for name in ("metrics.jsonl", "metrics.csv", "checkpoint.safetensors"):
        assert Path("cut", name).read_bytes() == Path("whole", name).read_bytes()


# ---------------------------------------------------------------- several processes


def test_a_folder_in_which_another_process_trains_is_refused(cli, command, tiny_model, tiny_data):
    options = ("--data", tiny_data, "-o", "run")
    first = command("train", tiny_model, *options, "--epochs", 10**6)
    assert first.stdout is not None
    while not first.stdout.readline().strip().startswith("2/"):
        assert first.poll() is None
    for again in (("train", "run", "--resume"), ("train", tiny_model, *options, "--force")):
        refused(cli(*again), "run: another process trains in this folder")
    first.kill()
    first.communicate()
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0, "the dead hold nothing"


def test_what_is_refused_leaves_no_folder(cli, tiny_model, tiny_data, monkeypatch):
    def refuse(*_: object) -> None:
        raise rpucc.RpuccError("no machine today")

    monkeypatch.setattr("rpucc.runtime.machine.Machine.__init__", refuse)
    refused(cli("train", tiny_model, "--data", tiny_data, "-o", "run"), "no machine today")
    assert not Path("run").exists()
