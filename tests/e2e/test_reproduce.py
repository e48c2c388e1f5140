"""`rpucc reproduce` from the command line: trains, skips, resumes, takes runs, reports again."""

from __future__ import annotations

import csv
import json
import re
import shutil
import signal
import statistics
from pathlib import Path

import pytest

from rpucc.runtime.interrupt import Stopped

EXPERIMENT = """
name = "tiny"
title = "Two rows"
source = "a paper"
about = "A small network."
model = "tiny.onnx"
[training]
data = "tiny.npz"
epochs = 3
lr = 0.05
average = [2, 3]
[quick]
data = "tiny.npz"
epochs = 1
lr = 0.05
average = [1, 1]
[[row]]
name = "fp"
label = "floating point"
target = "ideal"
reported = "1 %"
reach = { at_most = 50.0 }
[[row]]
name = "bl1"
label = "BL 1"
target = "rpu-managed"
set = ["update.bl=1"]
reported = "2 %"
reach = { at_most = 0.0 }
"""


@pytest.fixture
def experiment(workplace, tiny_model, tiny_data) -> str:
    """An experiment of two rows that trains in a second."""
    (workplace / "tiny.toml").write_text(EXPERIMENT, encoding="utf-8")
    return "tiny.toml"


def runs(output: str = "out") -> dict[str, Path]:
    """Row and seed -> run folder."""
    pattern = re.compile(r"(.+)-[0-9a-f]{12}-seed(\d+)")
    found = {}
    for path in Path(output, "runs").iterdir():
        row, seed = pattern.fullmatch(path.name).groups()
        found[f"{row}/{seed}"] = path
    return found


def stored(output: str = "out", name: str = "tiny") -> dict:
    return json.loads(Path(output, name, "results.json").read_text(encoding="utf-8"))


def contents(folder: str | Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file()
    }


def reproducible(folder: str | Path) -> dict[str, bytes]:
    """The files that hold no times."""
    timed = ("run.json", "events.jsonl")
    found = contents(folder)
    return {name: data for name, data in found.items() if not name.endswith(timed)}


def fails(outcome, code: int, said: str) -> None:
    """It failed in one line that says so."""
    assert outcome.code == code, outcome.stderr
    assert sum(line.startswith("Error: ") for line in outcome.stderr.splitlines()) == 1
    assert outcome.stderr.splitlines()[-1].startswith("Error: ")
    assert said in outcome.stderr
    assert "Traceback" not in outcome.stderr


# ---------------------------------------------------------------- from nothing to a table


def test_two_rows(cli, experiment):
    first = cli("reproduce", experiment, "-o", "out")
    assert first.code == 0, first.stderr
    assert "tiny: 0 of 2 runs are done" in first.stderr
    assert max(map(len, first.stdout.splitlines())) <= 100
    assert set(runs()) == {"fp/0", "bl1/0"}

    found = stored()
    for row in found["rows"]:
        folder = runs()[f"{row['name']}/0"]
        lines = list(csv.DictReader((folder / "metrics.csv").read_text().splitlines()))
        errors = [100 * float(line["test_error"]) for line in lines]
        assert row["mean_percent"] == pytest.approx(statistics.fmean(errors[1:]))
        assert row["deviation_percent"] == pytest.approx(statistics.stdev(errors[1:]))
        assert f"{row['mean_percent']:.2f} ± {row['deviation_percent']:.2f} %" in first.stdout
    assert [row["reached"] for row in found["rows"]] == [True, False]
    assert found["rows"][1]["runs"][0]["configuration"]["target"]["update"] == {"bl": 1}

    names = ["README.md", "error.svg", "metrics.csv", "results.json"]
    assert sorted(contents("out/tiny")) == names
    assert "2 of 2 rows run; 1 of 2 reach" in Path("out/README.md").read_text(encoding="utf-8")
    assert str(Path.cwd()) not in "".join(
        path.read_text(encoding="utf-8") for path in Path("out/tiny").iterdir()
    )


def test_runs_are_run_folders(cli, experiment):
    """`rpucc train` with the row's target and seed gives the same bytes, and inspect shows them."""
    assert cli("reproduce", experiment, "--rows", "bl1", "--seeds", "5,", "-o", "out").code == 0
    assert list(runs()) == ["bl1/5"]
    options = ["--data", "tiny.npz", "--epochs", 3, "--lr", 0.05, "--seed", 5, "-o", "alone"]
    assert (
        cli("train", "tiny.onnx", "-t", "rpu-managed", "--set", "update.bl=1", *options).code == 0
    )
    ours, theirs = contents(runs()["bl1/5"]), contents("alone")
    assert ours["checkpoint.safetensors"] == theirs["checkpoint.safetensors"]
    assert ours["metrics.csv"] == theirs["metrics.csv"]
    assert "after 3 epochs, seed 5" in cli("inspect", runs()["bl1/5"]).stdout


def test_what_is_done_is_skipped(cli, experiment):
    assert cli("reproduce", experiment, "-o", "out").code == 0
    before = contents("out")
    times = {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("*")}
    again = cli("reproduce", experiment, "-o", "out")
    assert again.code == 0
    assert "tiny: 2 of 2 runs are done" in again.stderr
    assert contents("out") == before
    assert times == {path: path.stat().st_mtime_ns for path in Path("out/runs").rglob("*")}


def test_another_configuration_is_another_run(cli, experiment):
    assert cli("reproduce", experiment, "--rows", "fp", "-o", "out").code == 0
    text = Path(experiment).read_text().replace("lr = 0.05", "lr = 0.04", 1)
    Path(experiment).write_text(text)
    again = cli("reproduce", experiment, "--rows", "fp", "-o", "out")
    assert "tiny: 0 of 1 runs are done" in again.stderr
    assert len(list(Path("out/runs").iterdir())) == 2
    (fp, _) = stored()["rows"]
    assert [run["configuration"]["lr"] for run in fp["runs"]] == [0.04]


def test_experiments_share_runs(cli, experiment):
    assert cli("reproduce", experiment, "-o", "out").code == 0
    text = EXPERIMENT.replace('name = "tiny"', 'name = "other"', 1)
    Path("other.toml").write_text(text.replace('name = "fp"', 'name = "float"'))
    other = cli("reproduce", "other.toml", "-o", "out")
    assert other.code == 0, other.stderr
    assert "other: 2 of 2 runs are done" in other.stderr
    assert stored(name="other")["rows"][0]["mean_percent"] is not None


def test_quick(cli, experiment):
    outcome = cli("reproduce", experiment, "--quick", "-o", "out")
    assert outcome.code == 0, outcome.stderr
    assert "to reach" not in outcome.stdout
    assert stored(name="tiny-quick")["rows"][0]["conditions"] == []
    again = cli("reproduce", experiment, "--quick", "-o", "out", "--json")
    assert json.loads(again.stdout) == [stored(name="tiny-quick")]


# ---------------------------------------------------------------- resuming


def test_more_epochs_go_on(cli, experiment):
    assert cli("reproduce", experiment, "--epochs", 1, "-o", "out").code == 0
    assert not stored(name="tiny-1-epochs")["rows"][0]["conditions"]
    more = cli("reproduce", experiment, "-o", "out")
    assert more.code == 0, more.stderr
    assert "bl1, seed 0: goes on after 1 epoch" in more.stderr
    assert cli("reproduce", experiment, "-o", "whole").code == 0
    assert reproducible("out/runs") == reproducible("whole/runs")
    assert contents("out/tiny") == contents("whole/tiny")


@pytest.mark.parametrize(
    ("samples", "stop", "code"),
    [(1, None, 130), (2000, None, 130), (1, Stopped(signal.SIGHUP), 129)],
)
def test_a_signal_and_the_same_command(samples, stop, code, cli, experiment, interrupted):
    """In the first step, and in the first epoch of the second run (3 of 600 samples each)."""
    with interrupted(samples, stop):
        cut = cli("reproduce", experiment, "-o", "out")
    assert cut.code == code
    assert cut.stderr.splitlines()[-1] == (
        "interrupted; the same command goes on where this one stopped"
    )
    assert cli("reproduce", experiment, "-o", "out").code == 0
    assert cli("reproduce", experiment, "-o", "whole").code == 0
    assert contents("out/tiny") == contents("whole/tiny")


def test_a_run_that_was_stopped_before_its_first_checkpoint(cli, experiment):
    assert cli("reproduce", experiment, "-o", "out").code == 0
    before = contents("out/tiny")
    for name in ("checkpoint.safetensors", "metrics.csv", "configuration.json"):
        (runs()["fp/0"] / name).unlink()
    again = cli("reproduce", experiment, "-o", "out")
    assert again.code == 0, again.stderr
    assert "tiny: 1 of 2 runs are done" in again.stderr
    assert contents("out/tiny") == before


# ---------------------------------------------------------------- several at a time


def test_jobs(cli, experiment):
    """Processes give the same bytes."""
    pytest.importorskip("joblib")
    assert cli("reproduce", experiment, "-o", "one").code == 0
    both = cli("reproduce", experiment, "--jobs", 2, "-o", "two")
    assert both.code == 0, both.stderr
    assert contents("one/tiny") == contents("two/tiny")


def test_jobs_on_a_backend(cli, experiment):
    """A cluster's backend is chosen as joblib does it; here it is threads of this process."""
    joblib = pytest.importorskip("joblib")
    with joblib.parallel_config(backend="threading"):
        outcome = cli("reproduce", experiment, "--quick", "--jobs", 2, "-o", "out")
    assert outcome.code == 0, outcome.stderr
    assert "bl1, seed 0: test error" in outcome.stderr  # its own process would write elsewhere
    assert set(runs()) == {"fp/0", "bl1/0"}


def test_jobs_without_joblib(cli, experiment, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    fails(cli("reproduce", experiment, "--jobs", 2), 2, "pip install 'rpucc[jobs]'")
    assert not Path("rpucc-results").exists()


# ---------------------------------------------------------------- runs from elsewhere, reports


def test_finished_runs_from_elsewhere(cli, experiment):
    """A run of `rpucc train` counts, in the folder itself or in one above, and stays untouched."""
    options = ["--data", "tiny.npz", "--epochs", 3, "--lr", 0.05]
    assert cli("train", "tiny.onnx", "-t", "ideal", *options, "-o", "there/a").code == 0
    assert cli("train", "tiny.onnx", "-t", "ideal", *options[:3], 1, "-o", "there/b").code == 0
    Path("there/half").mkdir()
    Path("there/half/run.json").write_text('{"seed": 0, "rpucc": "0"}')
    before = contents("there")
    for place in ("there", "there/a"):
        shutil.rmtree("out", ignore_errors=True)
        report = cli("reproduce", experiment, "--report", "--runs", place, "-o", "out")
        assert report.code == 0, report.stderr
        assert ("left out: " in report.stderr) == (place == "there")
        assert [row["mean_percent"] is None for row in stored()["rows"]] == [False, True]
    training = cli("reproduce", experiment, "--runs", "there/a", "-o", "out")
    assert training.code == 0, training.stderr
    assert "tiny: 1 of 2 runs are done" in training.stderr
    assert list(runs()) == ["bl1/0"]
    assert contents("there") == before


def test_report_from_stored_metrics(cli, experiment):
    """Neither runs nor data are needed to make tables and plots again."""
    assert cli("reproduce", experiment, "--seeds", 2, "-o", "out").code == 0
    before = contents("out")
    shutil.rmtree("out/runs")
    Path("tiny.npz").unlink()
    Path("out/tiny/error.svg").unlink()
    report = cli("reproduce", experiment, "--report", "-o", "out")
    assert report.code == 0, report.stderr
    kept = {name: data for name, data in before.items() if not name.startswith("runs")}
    assert contents("out") == kept
    assert [len(row["runs"]) for row in stored()["rows"]] == [2, 2]


def test_damaged_results(cli, experiment):
    assert cli("reproduce", experiment, "--quick", "-o", "out").code == 0
    metrics = Path("out/tiny-quick/metrics.csv")
    metrics.write_text(metrics.read_text().replace("fp", "pf"))
    report = cli("reproduce", experiment, "--quick", "--report", "-o", "out")
    fails(report, 1, "out/tiny-quick: the stored results are damaged")


# ---------------------------------------------------------------- what goes wrong


def test_a_refused_row_does_not_keep_the_others(cli, experiment):
    text = EXPERIMENT.replace("update.bl=1", "update.bl=1000")
    Path(experiment).write_text(text)
    fails(cli("reproduce", experiment, "-o", "out"), 1, "tiny: row 'bl1': --set update.bl=1000")
    assert list(runs()) == ["fp/0"]
    assert stored()["rows"][0]["mean_percent"] is not None


def test_a_diverging_row_does_not_keep_the_others(cli, experiment, monkeypatch):
    from rpucc.errors import RpuccError
    from rpucc.runtime.trainer import Trainer

    fit = Trainer.fit

    def diverge(self, *arguments, **options):
        if self.machine.program.target.name == "ideal":
            raise RpuccError("the loss is not finite")
        return fit(self, *arguments, **options)

    monkeypatch.setattr(Trainer, "fit", diverge)
    outcome = cli("reproduce", experiment, "-o", "out")
    fails(outcome, 1, "fp, seed 0: the loss is not finite")
    assert [row["mean_percent"] is None for row in stored()["rows"]] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "which experiment? rpucc reproduce --list shows them"),
        (["gokmen2017-updat"], 1, "did you mean 'gokmen2017-update'?"),
        (["none.toml"], 1, "experiment file none.toml: cannot be read"),
        (["tiny.npz.toml"], 1, "experiment file tiny.npz.toml: no valid TOML"),
        (["tiny.toml", "--rows", "fp,nmbm"], 2, "no row 'nmbm'; rows: fp, bl1"),
        (["tiny.toml", "--seeds", "one"], 2, "needs a number of seeds, or seeds as in 0,1,2"),
        (["tiny.toml", "--seeds", "0"], 2, "needs 1 to 1000 seeds"),
        (["tiny.toml", "--runs", "none"], 2, "--runs none: no such folder"),
        (["tiny.toml", "--data", "none.npz"], 1, "none.npz"),
        (["tiny.toml", "-o", "tiny.toml"], 1, "tiny.toml"),
        (["tiny.toml", "--epochs", "0"], 2, "--epochs"),
    ],
)
def test_one_line_errors(arguments, code, said, cli, experiment, files):
    Path("tiny.npz.toml").write_text("= 3")
    before = files()
    fails(cli("reproduce", *arguments), code, said)
    assert files() == before


def test_list(cli):
    from rpucc.experiments.load import experiment_names

    listed = cli("reproduce", "--list")
    assert listed.code == 0
    assert all(name in listed.stdout for name in experiment_names())
    names = [each["name"] for each in json.loads(cli("reproduce", "--list", "--json").stdout)]
    assert names == list(experiment_names())


def test_a_plan_is_compared(cli):
    outcome = cli("reproduce", "gokmen2017-alexnet", "-o", "out")
    assert outcome.code == 0, outcome.stderr
    assert "242 µs (K1)" in outcome.stdout
    assert "58.3 µs (K2)" in outcome.stdout
    table = [line.split() for line in outcome.stdout.splitlines() if line[:2] in ("K1", "W8")]
    assert [row[-1] for row in table[-2:]] == ["yes", "yes"]
    assert sorted(contents("out/gokmen2017-alexnet")) == [
        "README.md", "bimodal.svg", "large.svg", "results.json"
    ]  # fmt: skip
