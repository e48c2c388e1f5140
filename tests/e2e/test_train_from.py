"""`rpucc train --from`: another training from the weights and devices of a run."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from rpucc.program import Program
from rpucc.runtime.checkpoint import load_checkpoint


@pytest.fixture
def run(cli, tiny_model, tiny_data) -> str:
    """A finished run of two epochs."""
    options = ["--data", tiny_data, "--batch-size", 3, "--epochs", 2, "--lr", 0.05, "--seed", 4]
    outcome = cli("train", tiny_model, *options, "-o", "first")
    assert outcome.code == 0, outcome.stderr
    return "first"


def machine_of(run: str):
    return load_checkpoint(
        Path(run, "checkpoint.safetensors"), Program.load(Path(run, "program.rpu.onnx"))
    )


def record(run: str) -> dict:
    return json.loads(Path(run, "run.json").read_text())


def rows(run: str) -> list[dict]:
    return list(csv.DictReader(Path(run, "metrics.csv").read_text().splitlines()))


def test_it_starts_where_the_run_ended(cli, run):
    outcome = cli("train", "--from", run, "-o", "second", "--lr", 1e-9, "--epochs", 1)
    assert outcome.code == 0, outcome.stderr
    assert outcome.stderr.startswith(
        "from first: its weights and devices after 2 epochs; epochs are counted anew\n"
    )
    before, after = machine_of(run), machine_of("second")
    for name, array in before.state().items():  # at this rate no pulse comes
        np.testing.assert_array_equal(after.state()[name], array)
    assert after.arrays.keys() == before.arrays.keys()
    for name, array in before.arrays.items():
        devices, own = array.planes["weight"], after.arrays[name].planes["weight"]
        np.testing.assert_array_equal(own.codes, devices.codes)
    assert [row["epoch"] for row in rows("second")] == ["1"]
    kept = record("second")
    assert kept["origin"] == {"run": str(Path(run).resolve()), "epochs": 2, "samples": 1200}
    assert {key: kept[key] for key in ("seed", "batch_size", "data", "model", "lr")} == {
        **{key: record(run)[key] for key in ("seed", "batch_size", "data", "model")},
        "lr": 1e-9,
    }


def test_no_draw_and_no_order_of_samples_comes_again(cli, run):
    """At the run's own rate it is what the run's third epoch would have been."""
    assert cli("train", "--from", run, "-o", "second").code == 0
    assert cli("train", run, "--resume", "--epochs", 3).code == 0
    third, first = rows(run)[2], rows("second")[0]
    assert {**third, "epoch": "1"} == first
    for name, array in machine_of(run).state().items():
        np.testing.assert_array_equal(machine_of("second").state()[name], array)


def test_it_is_resumed_like_any_training_and_started_from_again(cli, run):
    assert cli("train", "--from", run, "-o", "whole", "--lr", 0.02, "--epochs", 2).code == 0
    assert cli("train", "--from", run, "-o", "parts", "--lr", 0.02, "--epochs", 1).code == 0
    again = cli("train", "parts", "--resume", "--epochs", 2)
    assert again.code == 0, again.stderr
    files = [Path(name, "checkpoint.safetensors").read_bytes() for name in ("whole", "parts")]
    assert files[0] == files[1]
    assert record("parts")["origin"] == record("whole")["origin"]
    assert cli("train", "--from", "parts", "-o", "last").code == 0
    assert machine_of("last").counters.earlier == 4
    assert record("last")["lr"] == 0.02


def test_a_schedule_starts_anew_and_other_data_are_taken(cli, run, tiny_data):
    found = np.load(tiny_data)
    np.savez("fewer.npz", x=found["x"][:120], y=found["y"][:120])
    options = ["--data", "fewer.npz", "--lr", 0.1, "--lr-schedule", "step:1:0.5", "--epochs", 2]
    assert cli("train", "--from", run, "-o", "second", *options).code == 0
    assert [float(row["lr"]) for row in rows("second")] == [0.1, 0.05]
    assert [row["samples"] for row in rows("second")] == ["108", "108"]
    evaluated = json.loads(cli("eval", "second", "--json").stdout)
    assert evaluated["samples"] == 12


def test_a_checkpoint_can_be_started_from(cli, run, tiny_data):
    options = ["--data", tiny_data, "-o", "second"]
    outcome = cli("train", "--from", f"{run}/checkpoint.safetensors", *options)
    assert outcome.code == 0, outcome.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["-o", "new", "tiny.onnx"], 2, "tiny.onnx: no model is needed beside --from"),
        (["-o", "new", "--resume"], 2, "--from and --resume: --resume goes on in"),
        (["-o", "new", "-t", "ideal"], 2, "--target: no effect on --from first, whose arrays"),
        (["-o", "new", "--set", "update.bl=1"], 2, "--set: no effect on --from first"),
        (["-o", "new", "--seed", "5"], 2, "--seed 5: first has the devices of seed 4"),
        ([], 2, "--from: needs a folder for the new run, -o FOLDER"),
        (["-o", "first", "--force"], 2, "-o first: is the run that --from starts from"),
        (["-o", "other"], 1, "other: is no run folder, but holds a metrics.csv"),
    ],
)
def test_what_cannot_be_is_refused(cli, run, files, arguments, code, said):
    Path("other").mkdir()
    Path("other/metrics.csv").write_text("mine")
    before = files()
    outcome = cli("train", "--from", run, *arguments)
    assert outcome.code == code
    assert outcome.stderr.splitlines()[-1].startswith(f"Error: {said}")
    assert files() == before


def test_the_run_must_be_there(cli):
    outcome = cli("train", "--from", "nothing", "-o", "new")
    assert outcome.stderr == (
        "Error: --from nothing: no such run folder or checkpoint (.safetensors)\n"
    )
    assert cli("train").stderr.startswith("Error: which model? name one, or a run to start from")


def test_a_run_folder_as_the_model_is_pointed_at_both_ways(cli, run):
    assert "--resume continues its training, --from starts" in cli("train", run).stderr


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("data", 3, "found 3, allowed: a text"),
        ("batch_size", "many", 'found "many", allowed: a whole number from 1 to 1048576'),
        ("batch_size", 0, "found 0, allowed: a whole number from 1 to 1048576"),
        ("data_dir", [], "found [], allowed: a text"),
        ("loss", 5, "found 5; allowed: one of auto, cross-entropy, binary-cross-entropy, mse"),
        ("plan", [], "found []; allowed: a path (str or pathlib.Path)"),
    ],
)
def test_a_damaged_record_is_one_line(cli, run, key, value, why):
    Path(run, "run.json").write_text(json.dumps({**record(run), key: value}))
    outcome = cli("train", "--from", run, "-o", "new")
    said = f"Error: {Path(run, 'run.json')}: {key}: {why}"
    assert outcome.stderr.splitlines()[-1].startswith(said)
    assert not Path("new").exists()


def test_the_same_seed_elsewhere_is_no_run_of_an_experiment(cli, run):
    from rpucc.errors import CheckpointError
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.tasks import read_run

    assert cli("train", "--from", run, "-o", "second").code == 0
    assert read_run(RunFolder(Path(run))).seed == 4
    with pytest.raises(CheckpointError, match="starts from another run"):
        read_run(RunFolder(Path("second")))
