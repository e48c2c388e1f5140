"""rpucc train with validation samples: early stopping, what stays, resuming, curves."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from .test_bad_input import refused

RUN = Path("run")
WATCH = ("--validation", "0.2", "--batch-size", 10, "--lr", 0.3, "--epochs", 9)


@pytest.fixture
def train(cli, tiny_model, tiny_data):
    """Train the small network with these options, into the folder `run` unless another is named."""

    def run(*options: object, folder: str = "run"):
        return cli("train", tiny_model, "-t", "ideal", "--data", tiny_data, "-o", folder, *options)

    return run


def rows(folder: str = "run") -> list[dict[str, str]]:
    return list(csv.DictReader(Path(folder, "metrics.csv").read_text().splitlines()))


def names(folder: str = "run") -> set[str]:
    return {path.name for path in Path(folder).glob("checkpoint*")}


def test_early_stopping_says_so_and_stays_stopped(train, cli):
    # With so large a difference to the best no epoch is better than the first by enough.
    stop = ("--patience", 2, "--min-delta", 100)
    done = train(*WATCH, *stop, "--keep", "best,every:2")
    assert done.code == 0, done.stderr
    assert ": 480 samples to train, 120 to validate, 66 to test" in done.stderr
    assert "stopped after epoch 3: no validation loss below " in done.stderr
    assert " of epoch 1 by more than 100 in 2 epochs; to go on, --resume with" in done.stderr
    assert "valid." in done.stdout.splitlines()[0]
    found = rows()
    assert [row["samples"] for row in found] == ["480"] * 3
    assert f"{float(found[0]['validation_loss']):.4f}" in done.stdout
    assert names() == {
        *("checkpoint.safetensors", "checkpoint-best.safetensors"),
        "checkpoint-epoch0002.safetensors",
    }
    last = json.loads((RUN / "events.jsonl").read_text().splitlines()[-1])
    assert (last["event"], last["reason"]) == ("finished", "stopped early")

    before = (RUN / "metrics.csv").read_bytes()
    again = cli("train", "run", "--resume", "--json")
    assert "stopped after epoch 3" in again.stderr
    assert (RUN / "metrics.csv").read_bytes() == before
    said = json.loads(again.stdout)
    assert said["stopped_early"]["epoch"] == 3
    assert said["stopped_early"]["best_epoch"] == 1
    assert [Path(path).name for path in said["kept"]] == [
        *("checkpoint-best.safetensors", "checkpoint-epoch0002.safetensors"),
    ]
    on = cli("train", "run", "--resume", "--patience", 4)
    assert "stopped after epoch 5" in on.stderr
    assert rows()[:3] == found
    refused(
        cli("train", "run", "--resume", "--validation", "0.3"),
        "--validation",
        "0.2, not 0.3",
        code=2,
    )
    refused(
        cli("train", "run", "--resume", "--monitor", "error"),
        "--monitor",
        "loss, not error",
        code=2,
    )


def test_the_best_is_the_epoch_with_the_lowest_and_can_be_used(train, cli):
    assert train(*WATCH, "-t", "rpu-managed", "--lr-schedule", "5=1e-9", "--keep", "best").code == 0
    best = 1 + int(np.argmin([float(row["validation_loss"]) for row in rows()]))
    assert 1 < best < 9  # else the test says little
    shown = json.loads(cli("inspect", "run", "--json", "--checkpoint", "best").stdout)
    assert shown["checkpoint"]["epochs"] == best
    by_name = cli("eval", "run", "--checkpoint", "best", "--json")
    by_path = cli("eval", "run/checkpoint-best.safetensors", "--json")
    found = [{**json.loads(each.stdout), "seconds": 0} for each in (by_name, by_path)]
    assert found[0] == found[1]
    assert found[0]["loss"] == float(rows()[best - 1]["test_loss"])
    assert json.loads(cli("eval", "run", "--checkpoint", "last", "--json").stdout)["epochs"] == 9
    assert cli("run", "run", "tiny.npz", "--checkpoint", "best", "-o", "y.npy").code == 0
    exported = cli("export", "run", "--checkpoint", "best", "--torch", "best.safetensors")
    assert exported.code == 0, exported.stderr
    assert cli("report", "run", "-o", "report.html").code == 0
    # The legend, and a point an epoch in two charts.
    assert Path("report.html").read_text(encoding="utf-8").count("validation samples") == 1 + 2 * 9
    # A new training can start from it.
    onward = cli("train", "--from", "run/checkpoint-best.safetensors", "-o", "onward")
    assert onward.code == 0, onward.stderr
    assert f"after {best} epoch" in onward.stderr


def test_checkpoints_that_are_not_there(train, cli):
    assert train("--keep", "every:2", "--epochs", 4, "--batch-size", 60).code == 0
    assert json.loads(cli("eval", "run", "--checkpoint", 4, "--json").stdout)["epochs"] == 4
    for which in ("best", "3", "first", "-1", "٣", "0" * 30):
        refused(cli("eval", "run", "--checkpoint", which), "run: has no checkpoint", "last, 2, 4")
    path = "run/checkpoint.safetensors"
    refused(cli("eval", path, "--checkpoint", "last"), "--checkpoint last: chooses in", code=2)
    refused(cli("inspect", "tiny.onnx", "--checkpoint", "2"), "--checkpoint 2: chooses", code=2)


def test_a_stopped_training_resumes_to_the_same_bytes(train, cli):
    how = (*WATCH, "--keep", "best,every:3", "--lr-schedule", "warmup:1+plateau:1:0.5")
    assert train(*how, folder="whole").code == 0
    assert train(*how, "--epochs", 2).code == 0
    for epochs in (5, 9):
        assert cli("train", "run", "--resume", "--epochs", epochs).code == 0
    assert names() == names("whole")
    for name in (*names(), "metrics.csv"):
        assert Path("run", name).read_bytes() == Path("whole", name).read_bytes(), name


def test_a_new_training_in_its_place_leaves_nothing_of_it(train):
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    assert train(*WATCH, "--keep", "best,every:2", "--tensorboard").code == 0
    assert len(list(Path("run/tensorboard").iterdir())) == 1
    assert train("--force").code == 0
    assert names() == {"checkpoint.safetensors"}
    assert not list(Path("run/tensorboard").iterdir())
    assert "validation_loss" not in rows()[0]


def test_curves_go_on_where_training_does(train, cli):
    pytest.importorskip("tensorboard", reason="the extra `tensorboard` is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert train(*WATCH, "--tensorboard", "--epochs", 2).code == 0
    assert cli("train", "run", "--resume", "--epochs", 3).code == 0  # as run.json has it
    found = EventAccumulator("run/tensorboard")
    found.Reload()
    for tag, key in (("loss/test", "test_loss"), ("loss/validation", "validation_loss")):
        points = [(event.step, event.value) for event in found.Scalars(tag)]
        assert points == [
            (480 * i, pytest.approx(float(row[key]))) for i, row in enumerate(rows(), start=1)
        ]


def test_validation_by_data_of_their_own(train, cli, tiny_data):
    data = np.load(tiny_data)
    np.savez("held.npz", x=data["x"][:50], y=data["y"][:50])
    done = train("--validation", "held.npz", "--patience", 5, "--epochs", 2, "--batch-size", 60)
    assert ": 600 samples to train, 50 to validate, 66 to test" in done.stderr, done.stderr
    assert json.loads((RUN / "run.json").read_text())["validation"] == str(
        Path("held.npz").resolve()
    )
    assert cli("train", "run", "--resume", "--epochs", 3, "--validation", "held.npz").code == 0
    refused(train("--validation", tiny_data, folder="b"), "is the training data", code=2)
    refused(train("--validation", "none.npz", folder="b"), "none.npz", "not found")
    assert not Path("b").exists()


@pytest.mark.parametrize(
    ("options", "fragments", "code"),
    [
        (["--validation", "1.5"], ["--validation", "found 1.5; allowed: a share"], 2),
        (["--validation", "100%"], ["--validation", "found 100%"], 2),
        (["--validation", "nan"], ["--validation", "found nan"], 2),
        (["--keep", "worst"], ["--keep", "allowed: last, best, every:N"], 2),
        (["--patience", "0"], ["--patience", "0 is not in the range"], 2),
        (["--min-delta", "inf"], ["--min-delta", "must be finite"], 2),
        (["--lr-schedule", "plateau:2"], ["--lr-schedule", "plateau:EPOCHS:FACTOR"], 2),
        (["--patience", "3"], ["early stopping watches the loss of validation samples"], 2),
        (["--keep", "best"], ["the best checkpoint watches", "validation 0.1 takes a tenth"], 2),
        (["--lr-schedule", "plateau:2:0.5"], ["the plateau schedule watches", "train-loss"], 2),
        (["--monitor", "error", "--validation", "0.1"], ["--monitor: nothing watches it"], 2),
    ],
)
def test_what_is_refused_before_anything_is_written(train, files, options, fragments, code):
    before = files()
    refused(train(*options), *fragments, code=code)
    assert files() == before


def test_curves_without_their_package_are_refused_first(train, files, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    before = files()
    refused(train("--tensorboard"), "pip install 'rpucc[tensorboard]'")
    assert files() == before
