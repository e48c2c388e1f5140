"""Experiments as data: files, fingerprints, means and conditions, stored results, drawings."""

from __future__ import annotations

import json
import re
import statistics
import textwrap
import xml.etree.ElementTree as ET
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pytest

from rpucc.compiler.options import RECORDED
from rpucc.errors import ExperimentError
from rpucc.experiments.configuration import (
    BESIDES,
    IN_TARGET,
    TRAINING_KEYS,
    configuration,
    data_digest,
    fingerprint,
    row_configuration,
)
from rpucc.experiments.load import experiment_names, load_experiment
from rpucc.experiments.outcome import Run, outcome
from rpucc.experiments.schema import AS_REPORTED, TrainingExperiment
from rpucc.experiments.store import metrics_csv, results, stored_digest, stored_runs
from rpucc.experiments.toys import ToyExperiment as Toy
from rpucc.report.experiments.page import training_page
from rpucc.report.experiments.plot import error_drawing
from rpucc.report.experiments.tables import Cells, commands, rows_table
from rpucc.target.target import Target

TEXT = """
name = "small"
title = "A small one"
source = "a paper"
about = "Two rows."
model = "mlp"
seeds = [0, 1]
[training]
data = "mnist-mini"
epochs = 4
average = [3, 4]
[quick]
data = "mnist-mini"
epochs = 1
average = [1, 1]
[[row]]
name = "fp"
label = "floating point"
target = "ideal"
reported = "0.8 %"
reach = { at_most = 2.0 }
[[row]]
name = "bl1"
label = "BL 1 | <b>"
target = "rpu-managed"
set = ["update.bl=1"]
layer = [{ match = "fc*", device = { dw_min_std = 0.0 }, mapping = { devices_per_weight = 4 } }]
reach = { near = { fp = 0.5 }, above = { fp = 0.1 } }
"""


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Load the text, or the text with something put in its place."""
    monkeypatch.chdir(tmp_path)

    def load(old: str = "", new: str = "", text: str = TEXT):
        assert old in text
        (tmp_path / "x.toml").write_text(text.replace(old, new, 1), encoding="utf-8")
        return load_experiment("x.toml")

    return load


# ---------------------------------------------------------------- files


def shipped_rows():
    networks = [e for e in map(load_experiment, experiment_names()) if not isinstance(e, Toy)]
    rows = [(each.name, row) for each in networks for row in each.row]
    return [pytest.param(name, row, id=f"{name}-{row.name}") for name, row in rows]


LAYERS = {
    "lenet": ("conv1", "conv2", "fc1", "fc2"),
    "mlp": ("fc1", "fc2", "fc3"),
    "lenet-scaled": ("conv1", "conv2", "fc1", "fc2"),
    "mlp-scaled": ("fc1", "fc2", "fc3"),
    "alexnet": ("K1", "K2", "K3", "K4", "K5", "W6", "W7", "W8"),
}


@pytest.mark.parametrize(("name", "row"), shipped_rows())
def test_shipped_rows_have_targets(name, row):
    experiment = load_experiment(name)
    target = Target.load(row.target, row.overrides)
    for rule in row.layer:
        assert any(fnmatchcase(layer, rule.match) for layer in LAYERS[experiment.model])
        assert rule.match in [each.match for each in target.layers]
    assert row.set == () or all("=" in line for line in row.set)


@pytest.mark.parametrize("name", experiment_names())
def test_shipped_experiments(name):
    experiment = load_experiment(name)
    assert experiment.name == name
    assert (experiment.figures == AS_REPORTED) == name.startswith(("gokmen", "kim"))
    if isinstance(experiment, TrainingExperiment):
        first, last = experiment.training.average
        assert experiment.training.data == "mnist"
        assert last == experiment.training.epochs > first + 3
        assert experiment.quick.data == "mnist-mini"
        judged = [row for row in experiment.row if row.reach.model_fields_set]
        assert all(row.reported for row in judged)


def test_rules_become_overrides(make):
    row = make().row[1]
    assert row.overrides == (
        "update.bl=1",
        "layer.fc*.mapping.devices_per_weight=4",
        "layer.fc*.device.dw_min_std=0.0",
    )
    policy = Target.load(row.target, row.overrides).for_layer("fc2")
    assert policy.mapping.devices_per_weight == 4
    assert policy.device.parameters["dw_min_std"] == 0
    assert policy.device.parameters["dw_min_dtod"] == 0.3
    assert policy.update.bl == 1


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('name = "small"', 'nam = "small"', "name: missing"),
        ("epochs = 4", "epoch = 4", "training.epochs: missing"),
        ("epochs = 4", "epochs = 4\nrate = 1", "training.rate: unknown key"),
        ("average = [3, 4]", "average = [3, 5]", "[first, last] within the epochs"),
        ("epochs = 4", "epochs = 0", "training.epochs"),
        ('name = "bl1"', 'name = "fp"', "row.1.name"),
        ('name = "bl1"', 'name = "../x"', "row.1.name"),
        ("near = { fp = 0.5 }", "near = { nothing = 0.5 }", "row.1.reach"),
        ("at_most = 2.0", "at_most = 200.0", "row.0.reach.at_most"),
        ("at_most = 2.0", "most = 2.0", "row.0.reach.most: unknown key"),
        ("dw_min_std = 0.0", '"a-b" = 0.0', "row.1.layer.0.device"),
        ('seeds = [0, 1]', 'seeds = [-1]', "seeds"),
        ('seeds = [0, 1]', 'plot = ["nm"]', "plot.0"),
        ('seeds = [0, 1]', 'kind = "dance"', 'allowed: "training", "plan", "toy"'),
        ('seeds = [0, 1]', 'seeds = [0, 1', "no valid TOML"),
    ],
)  # fmt: skip
def test_bad_files(make, old, new, said):
    with pytest.raises(ExperimentError) as caught:
        make(old, new)
    assert said in str(caught.value)
    for line in caught.value.args:
        assert line.startswith("experiment file x.toml: ")
        assert "\n" not in line


def test_unknown_names(tmp_path):
    with pytest.raises(ExperimentError, match="did you mean 'gokmen2017-update'"):
        load_experiment("gokmen2017-updat")
    with pytest.raises(ExperimentError, match="no experiment 'zzz'; there are gokmen2017-alexnet"):
        load_experiment("zzz")
    with pytest.raises(ExperimentError, match=r"none\.toml: cannot be read: No such file"):
        load_experiment(str(tmp_path / "none.toml"))
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ExperimentError, match=r"bytes\.toml: cannot be read: not UTF-8 text"):
        load_experiment(str(tmp_path / "bytes.toml"))


# ---------------------------------------------------------------- fingerprints

ARGUMENTS = {"model": "mlp", "loss": "auto", "input_range": None, "batch_size": 1, "lr": 0.01}


def mark(*overrides: str, target: str = "rpu-managed", data: str = "d", **changed: object) -> str:
    return fingerprint(
        configuration({**ARGUMENTS, **changed}, Target.load(target, overrides), data)
    )


def test_fingerprints_see_what_changes_numbers():
    different = [
        mark(),
        mark("update.bl=1"),
        mark("layer.fc1.update.bl=1"),
        mark("periphery.read_noise=0.05"),
        mark(target="ideal"),
        mark(data="e"),
        mark(lr=0.02),
        mark(batch_size=2),
        mark(lr_schedule="step:10:0.5"),
        mark(model="lenet"),
        *(mark(**{key: "another"}) for key in BESIDES),
    ]
    assert len(set(different)) == len(different)


def test_fingerprints_see_nothing_else():
    assert mark() == mark("name=other", "description=other", "cost.adc_step_energy=1e-15")
    assert mark() == mark("update.bl=10", "mapping.devices_per_weight=1")  # the defaults
    assert mark("layer.fc1.device.dw_min_std=0") == mark("layer.fc1.device.dw_min_std=0.0")
    assert mark(epochs=3, threads=2, seed=7, lr_schedule="constant") == mark()
    assert all(mark(**{key: each}) == mark() for key, every in BESIDES.items() for each in every)


def test_whatever_changes_a_program_is_seen():
    assert set(RECORDED) <= {*TRAINING_KEYS, *BESIDES, *IN_TARGET}


def test_fingerprint_of_a_file_of_masks(tmp_path):
    path = tmp_path / "mask.npz"
    found = set()
    for text in (b"1", b"2"):
        path.write_bytes(text)
        found |= {mark(f"update.mask={path}"), mark(f"layer.fc1.update.mask={path}")}
    assert len({*found, mark("update.mask=zeros"), mark()}) == 6


def test_fingerprint_of_a_model_file(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"1")
    first = mark(model=str(path))
    path.write_bytes(b"2")
    assert mark(model=str(path)) != first


def test_digest_sees_type_shape_and_content():
    x, y = np.zeros((2, 3), np.uint8), np.zeros(2, np.int64)
    digests = {
        data_digest(x, y),
        data_digest(x.reshape(3, 2), y),
        data_digest(x, y.astype(np.int32)),
        data_digest(x + 1, y),
        data_digest(x[:, ::-1] + np.arange(3, dtype=np.uint8), y),
    }
    assert len(digests) == 5
    assert data_digest(np.asfortranarray(x), y) == data_digest(x, y)


# ---------------------------------------------------------------- outcomes


def a_run(experiment, row, seed, errors) -> Run:
    found = row_configuration(experiment.row[row], "mlp", experiment.training, "digest")
    epochs = [{"epoch": i + 1, "test_error": e / 100, "reads": 7} for i, e in enumerate(errors)]
    return Run(found, seed, tuple(epochs), "0.1.0")


@pytest.fixture
def example(make):
    experiment = make()
    runs = {
        "fp": (
            a_run(experiment, 0, 1, [9, 8, 1.5, 1.7]),
            a_run(experiment, 0, 0, [9, 8, 1.0, 1.2, 50]),
        ),
        "bl1": (a_run(experiment, 1, 0, [9, 8, 1.6, 1.8]), a_run(experiment, 1, 2, [7, 6, 1])),
    }
    return outcome(experiment, experiment.training, runs)


def test_means_over_epochs_and_seeds(example):
    fp, bl1 = example.rows
    assert fp.mean == pytest.approx(1.35)
    assert fp.deviation == pytest.approx(statistics.stdev([1.0, 1.2, 1.5, 1.7]))
    assert fp.seed_means == pytest.approx({0: 1.1, 1: 1.6})
    assert [run.seed for run in fp.runs] == [0, 1]
    assert bl1.mean == pytest.approx(1.7)
    assert [run.seed for run in bl1.finished] == [0]
    assert fp.reached is True
    assert [(c.text, c.met) for c in bl1.conditions] == [
        ("above fp by 0.1", True),
        ("≤ fp + 0.5", True),
    ]
    assert example.reached == 2


def test_conditions_that_fail_or_cannot_be_told(make):
    experiment = make(
        "reach = { near", "reach = { share = { fp = 0.5 }, below = { fp = 0.0 }, near"
    )
    runs = {"bl1": (a_run(experiment, 1, 0, [9, 8, 3, 3]),)}
    (_, bl1) = outcome(experiment, experiment.training, runs).rows
    assert bl1.reached is None
    assert {c.met for c in bl1.conditions} == {None}
    runs["fp"] = (a_run(experiment, 0, 0, [9, 8, 2, 2.5]),)
    (fp, bl1) = outcome(experiment, experiment.training, runs).rows
    assert (fp.reached, bl1.reached) == (False, False)
    assert [c.met for c in bl1.conditions] == [False, True, False, False]
    (fp, _) = outcome(experiment, experiment.training, runs, quick=True).rows
    assert fp.conditions == ()
    assert fp.reached is None


def test_stored_results_give_the_runs_back(example):
    text = json.dumps(results(example, "mnist.npz", "digest"))
    metrics = metrics_csv(example)
    assert stored_digest(text) == "digest"
    runs = stored_runs(text, metrics, "here")
    by_row = {"fp": tuple(runs[:2]), "bl1": tuple(runs[2:])}
    again = outcome(example.experiment, example.training, by_row)
    assert again == example
    assert metrics_csv(again) == metrics


def same(text):
    return text


@pytest.mark.parametrize(
    ("results_text", "change", "message"),
    [
        ("{}", same, "results.json: 'data' is missing"),
        ("[]", same, "results.json: found [], allowed: an object"),
        ("nonsense", same, "results.json: is no valid JSON"),
        ("[" * 100_000, same, "results.json: is no valid JSON"),
        ('{"data": {"digest": "d"}, "rows": [], "rows": []}', same, "holds 'rows' twice"),
        (
            None,
            lambda text: re.sub(r"0\.018\d*", "x", text),
            'test_error: found "x", allowed: a number',
        ),
        (None, lambda text: re.sub(r"0\.018\d*", "1.5", text), "allowed: a number from 0 to 1"),
        (None, lambda text: re.sub(r"0\.018\d*", "1" * 400, text), "allowed: a number from 0 to 1"),
        (None, lambda text: re.sub(r"0\.018\d*", "nan", text), "allowed: a number from 0 to 1"),
        (None, lambda text: "\n".join(text.splitlines()[:-1]), "epochs expected"),
        (None, lambda text: "", "epochs expected, 0 found"),
        (None, lambda text: text.replace("fp,0,2,", "fp,0,3,"), "epoch: found 3, allowed: 2"),
        (
            None,
            lambda text: text.replace("\nfp,0,2", ",9\nfp,0,2"),
            "not as many cells as headings",
        ),
    ],
)
def test_damaged_results(example, results_text, change, message):
    text = results_text or json.dumps(results(example, "d", "digest"))
    with pytest.raises(ExperimentError) as caught:
        stored_runs(text, change(metrics_csv(example)), "here")
    assert str(caught.value).startswith("here: the stored results are damaged (")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_runs_of_results(example):
    found = results(example, "d", "digest")
    for key, value, message in (
        ("seed", "0", 'rows.0.runs.0.seed: found "0", allowed: a whole number from 0 to'),
        ("seed", 2**64, "allowed: a whole number from 0 to"),
        ("epochs", -1, "epochs: found -1, allowed: a whole number"),
        ("fingerprint", "0" * 12, "which its configuration has"),
        ("configuration", [], "configuration: found [], allowed: an object"),
    ):
        changed = json.loads(json.dumps(found))
        changed["rows"][0]["runs"][0][key] = value
        with pytest.raises(ExperimentError) as caught:
            stored_runs(json.dumps(changed), metrics_csv(example), "here")
        assert message in str(caught.value)


def test_commands_quote_what_an_experiment_says():
    rows = [("a\nrm -r x", "t", ("a.b='{}'",))]
    assert commands("train", "m", rows, ["--data", "my {data}"]) == (
        "# a rm -r x\nrpucc train m -t t --set 'a.b='\"'\"'{}'\"'\"'' --data 'my {data}'"
    )


# ---------------------------------------------------------------- what is shown


def test_table_and_page(example):
    cells = rows_table(example)
    assert cells.headers[1] == "test error, epochs 3–4"
    expected = ("floating point", "1.35 ± 0.31 %", "0, 1", "0.8 %", "≤ 2 %", "yes")
    assert cells.rows[0] == expected
    page = training_page(example, "mnist.npz", "digest")
    assert "| BL 1 \\| &lt;b> |" in page
    assert f"Reported figures: {AS_REPORTED} (a paper)" in page
    assert "rpucc train mlp -t rpu-managed --set update.bl=1 " in page
    assert "--set 'layer.fc*.mapping.devices_per_weight=4'" in page


def test_unfinished_and_missing_rows(make):
    experiment = make()
    runs = {"bl1": (a_run(experiment, 1, 0, [9, 8, 3]),)}
    rows = rows_table(outcome(experiment, experiment.training, runs)).rows
    assert [row[1] for row in rows] == ["not run", "3 of 4 epochs"]


def test_markdown_table():
    cells = Cells(("a", "b"), (("x", "1"),), numeric=(1,))
    assert cells.markdown() == "| a | b |\n| --- | ---: |\n| x | 1 |"


def test_plot(example):
    root = ET.fromstring(error_drawing(example).file())
    spaces = {"s": "http://www.w3.org/2000/svg"}
    curves = root.findall(".//s:polyline", spaces)
    assert len(curves) == 2
    points = [tuple(map(float, p.split(","))) for p in curves[0].get("points", "").split()]
    assert len(points) == 4  # the epochs of the experiment, not the fifth of one run
    xs, ys = zip(*points, strict=True)
    assert list(xs) == sorted(xs)
    assert ys[0] < ys[1] < ys[3] < ys[2]  # 9, 8, 1.45, 1.25 %: smaller errors lie lower
    assert len(root.findall(".//s:polygon", spaces)) == 2
    labels = [text.text for text in root.findall(".//s:text", spaces)]
    assert "floating point" in labels
    assert "BL 1 | <b>" in labels


@pytest.mark.parametrize("errors", [[0.0], [0.0, 0.0], [100.0, 100.0], [0.03] * 60, []])
def test_plot_of_anything(make, errors):
    experiment = make()
    epochs = max(len(errors), 1)
    training = experiment.training.model_copy(update={"epochs": epochs, "average": (1, epochs)})
    runs = {"fp": (a_run(experiment, 0, 0, errors),)}
    text = error_drawing(outcome(experiment, training, runs, quick=True)).file()
    ET.fromstring(text)
    assert "nan" not in text


# ---------------------------------------------------------------- documentation

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_example_of_the_page(make):
    page = (DOCS / "reproduce.md").read_text(encoding="utf-8")
    example = page[page.index('    name = "mine"') : page.index("Conditions of `reach`")]
    experiment = make(text=textwrap.dedent(example))
    assert experiment.row[1].overrides == (
        "periphery.adc_bits=6",
        "layer.conv2.device.dw_min_std=0.0",
    )
    assert all(f"| `{name}` |" in page for name in experiment_names())


@pytest.mark.parametrize("path", sorted(DOCS.glob("results/*/results.json")), ids=str)
def test_results_of_the_repository(path):
    """They belong to the experiments that ship, and their means follow from their metrics."""
    found = json.loads(path.read_text(encoding="utf-8"))
    experiment = load_experiment(path.parent.name)
    if not isinstance(experiment, TrainingExperiment):
        assert [row["name"] for row in found["rows"]] == [row.name for row in experiment.row]
        return
    metrics = (path.parent / "metrics.csv").read_text(encoding="utf-8")
    runs = stored_runs(path.read_text(encoding="utf-8"), metrics, str(path))
    epochs, (first, last) = experiment.training.epochs, experiment.training.average
    for row in found["rows"]:
        marks = {run["fingerprint"] for run in row["runs"]}
        own = [run for run in runs if run.fingerprint in marks and len(run.epochs) >= epochs]
        errors = [error for run in own for error in run.errors(epochs)[first - 1 : last]]
        assert (row["mean_percent"] is None) == (not errors)
        assert not errors or row["mean_percent"] == pytest.approx(statistics.fmean(errors))
    assert any(row["mean_percent"] is not None for row in found["rows"])
