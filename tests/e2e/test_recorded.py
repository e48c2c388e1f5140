"""run.json and stored results, damaged: a line with file, key, what was found, what is allowed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rpucc.errors import CheckpointError
from rpucc.runs.folder import RunFolder
from rpucc.runs.tasks import read_run

from .test_bad_input import refused

TEXT, COUNT = "allowed: a text", "allowed: a whole number from 1 to "
DAMAGE: list[tuple[str, Any, str, str]] = [
    ("threads", "1", 'found "1"', COUNT + "1024"),
    ("threads", None, "found null", COUNT + "1024"),
    ("threads", 2**32, "found 4294967296", COUNT + "1024"),
    ("epochs", "3", 'found "3"', COUNT),
    ("epochs", True, "found true", COUNT),
    ("epochs", 2**40, "found 1099511627776", COUNT),
    ("batch_size", float("nan"), "found NaN", COUNT + "1048576"),
    ("batch_size", 2**40, "found 1099511627776", COUNT),
    ("batch_size", 0, "found 0", COUNT),
    ("lr", "0.01", 'found "0.01"', "allowed: a number"),
    ("lr", 10**400, "found 1000", "allowed: a number"),
    ("lr", -1, "found -1", "allowed: a number above 0"),
    ("lr_schedule", 1, "found 1", TEXT),
    ("lr_schedule", "step:0", "'step:0'", "cosine:EPOCHS:FLOOR"),
    ("validation", "2", 'found "2"', "allowed: a share"),
    ("validation", 0.1, "found 0.1", "allowed: a share, a text, or null"),
    ("patience", 0, "found 0", "allowed: a whole number of 1 or more, or null"),
    ("min_delta", -1, "found -1", "allowed: a number of 0 or more"),
    ("monitor", "test-loss", 'found "test-loss"', "allowed: loss, error, train-loss or"),
    ("keep", "worst", 'found "worst"', "allowed: last, best or every:N"),
    ("tensorboard", 1, "found 1", "allowed: true or false"),
    ("seed", 2**64, "found 18446744073709551616", "allowed: a whole number from 0"),
    ("data", 1, "found 1", TEXT),
    ("data_dir", "\0", "found", TEXT),
    ("model", "\ud800", "found", TEXT),
    ("loss", "hinge", "found the str 'hinge'", "allowed: one of auto, "),
    ("input_range", [0], "two finite numbers", ""),
    ("input_range", [0, "1"], "found (0, ", "two finite numbers"),
    ("overrides", "update.bl=1", "found the str 'update.bl=1'", "allowed: a list of"),
    ("overrides", [1], "[0]: found 1", "allowed: a list of"),
]


@pytest.fixture
def run(cli, tiny_model, tiny_data) -> RunFolder:
    assert cli("train", tiny_model, "--data", tiny_data, "-o", "run").code == 0
    return RunFolder(Path("run"))


def change(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_what_run_json_says_is_checked_as_the_options_are(run, cli, files):
    whole = run.record.read_text()
    for key, value, *fragments in DAMAGE:
        change(run.record, **{key: value})
        before = files()
        refused(cli("train", "run", "--resume"), f"run.json: {key}", *fragments)
        assert files() == before
        run.record.write_text(whole)
    for text, fragment in (("[" * 100_000, "no valid JSON"), ("[]", "no JSON object")):
        run.record.write_text(text)
        refused(cli("train", "run", "--resume"), "run.json: is damaged", fragment)
    run.record.write_text("{}")
    refused(cli("train", "run", "--resume"), "run.json: 'model' is missing")
    run.record.write_text(whole)
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0


def test_eval_checks_it_too(run, cli):
    change(run.record, data_dir=3)
    refused(cli("eval", "run"), "run.json: data_dir: found 3", TEXT)
    change(run.record, data_dir=None, data=[])
    refused(cli("eval", "run"), "run.json: data: found []", TEXT)


def test_stored_runs(run):
    assert read_run(run).seed == 0
    configuration = run.path / "configuration.json"
    for text in ('{"lr": NaN}', "[]", "{", "[" * 100_000, '{"lr": 1' + "0" * 400 + "}"):
        configuration.write_text(text)
        with pytest.raises(CheckpointError, match=r"configuration\.json: is damaged .*; remove it"):
            read_run(run)
    configuration.unlink()
    change(run.record, seed="one")
    with pytest.raises(CheckpointError, match=r'run\.json: seed: found "one", allowed: a whole'):
        read_run(run)


def test_what_else_run_json_says_is_checked_where_it_is_used(run, cli):
    whole = run.record.read_text()
    for key, value, fragment, command in (
        (
            "data_digest",
            5,
            "data_digest: found 5, allowed: 64 hexadecimal digits, or null",
            "resume",
        ),
        ("data_digest", "0" * 63, "allowed: 64 hexadecimal digits, or null", "resume"),
        ("data_classes", "ab", 'data_classes: found "ab", allowed: a list of texts', "eval"),
        ("timings", [], "timings: found [], allowed: an object", "compare"),
        ("machine", {"portable": "yes"}, 'machine.portable: found "yes", allowed: true', "eval"),
        ("machine", [], "machine: found [], allowed: an object", "resume"),
        ("versions", {"numpy": 1}, "versions.numpy: found 1, allowed: a text", "eval"),
        ("timings", {"training_seconds": 10**400}, "training_seconds: found 1000", "compare"),
        ("timings", {"training_seconds": -1}, "timings.training_seconds: found -1", "compare"),
    ):
        change(run.record, **{key: value})
        words = {
            "resume": ("train", "run", "--resume", "--epochs", 2),
            "eval": ("eval", "run"),
            "compare": ("compare", "run", "run"),
        }[command]
        refused(cli(*words), "run.json: ", fragment)
        run.record.write_text(whole)
    run.record.write_text('{"seed": 1, ' + whole[1:])
    refused(cli("train", "run", "--resume"), "run.json: is damaged: holds 'seed' twice")


def test_damaged_logs_are_passed_over(run, cli):
    with run.steps.open("a") as steps, run.events.open("a") as events:
        for line in ("{", "3", "[" * 99_999, '{"epoch": 1, "samples": 1' + "0" * 400 + "}"):
            steps.write(line + "\n")
            events.write(line + "\n")
        line = {"epoch": 1, "samples": 10**400, "loss": 1.0, "lr": 0.1, "loss_sum": 1.0}
        steps.write(json.dumps({**line, "weight": 1.0}) + "\n")
        events.write('{"event": "epoch"}\n{"event": "epoch", "seconds": 1e999}\n')
    assert cli("compare", "run", "run").code == 0
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0
    assert json.loads(run.record.read_text())["timings"]["epochs"] == 2


def test_metrics_of_a_run_that_are_none(run):
    for text, message in (
        ("epoch,test_error\n1,2\n", "test_error: found 2, allowed: a number from 0 to 1"),
        ("epoch,test_error\n2,0.5\n", "epoch: found 2, allowed: 1"),
        ("epoch,loss\n1,0.5\n", "'test_error' is missing"),
        ("epoch,epoch\n1,1\n", "has a heading twice"),
        ("epoch,test_error\n1\n", "line 2 has not as many cells as headings"),
        (f"epoch,test_error,{'x' * 5000}\n1,0.5,\u0663x\n", "xxx: found"),
    ):
        run.metrics.write_text(text)
        (run.path / "configuration.json").write_text(json.dumps(CONFIGURATION))
        with pytest.raises(CheckpointError) as caught:
            read_run(run)
        assert str(caught.value).startswith(f"{run.metrics}: is damaged: ")
        assert message in str(caught.value)
        assert len(str(caught.value)) < 400


CONFIGURATION = {"model": "m", "batch_size": 1, "lr": 0.1, "target": {}, "data": "d"}
