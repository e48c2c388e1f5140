"""Feedback alignment as a user has it: a key of the target, and what every command shows of it."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from safetensors.numpy import load_file

from rpucc.program import Program

RANDOM = ("--set", "update.feedback=random")
NAME = "classes:feedback"


@pytest.fixture
def run(cli, tiny_model, tiny_data):
    """A run folder."""
    outcome = cli("train", tiny_model, "--data", tiny_data, *RANDOM, "--lr", 0.05, "-o", "run")
    assert outcome.code == 0, outcome.stderr
    return "run"


def held(folder: str) -> dict[str, np.ndarray]:
    return load_file(f"{folder}/checkpoint.safetensors")


def test_it_learns_and_its_matrix_does_not(cli, run):
    assert json.loads(cli("eval", run, "--json").stdout)["error"] < 0.1
    first = held(run)
    assert cli("train", run, "--resume", "--epochs", 3).code == 0
    assert cli("train", "--from", run, "--epochs", 1, "-o", "further").code == 0
    for folder in (run, "further"):
        assert np.array_equal(held(folder)["classes.B"], first["classes.B"])
        assert not np.array_equal(held(folder)["classes.W"], first["classes.W"])


def test_plan_and_cost_have_its_arrays_and_reads(cli, run, tiny_model, workplace):
    shown = json.loads(cli("inspect", run, "--json").stdout)
    found, cost = shown["plan"], shown["cost"]
    rows = {layer["name"]: layer for layer in found["layers"]}
    assert list(rows) == ["hidden", "classes", NAME]
    row, classes = rows[NAME], rows["classes"]
    assert (row["R"], row["C"]) == (classes["R"], classes["C"])
    assert (row["reads_forward"], row["reads_backward"], row["updates"]) == (0, 1, 0)
    assert row["feedback"]
    assert classes["reads_backward"] == 0
    assert found["totals"]["weights"] == 131
    assert found["totals"]["feedback_weights"] == 27
    assert sum(found["totals"]["arrays"].values()) == 3
    costs = {layer["name"]: layer for layer in cost["layers"]}
    assert [each["cycle"] for each in costs[NAME]["cycles"]] == ["backward"]
    assert [each["cycle"] for each in costs["classes"]["cycles"]] == ["forward", "update"]
    cli("compile", tiny_model, "-o", "weights.rpu.onnx")
    cli("compile", tiny_model, *RANDOM, "-o", "random.rpu.onnx")
    plain, random = (Program.load(workplace / f"{n}.rpu.onnx") for n in ("weights", "random"))
    assert random.cost.training_serial == plain.cost.training_serial


def test_one_layer_says_what_it_is_and_how_far_the_weights_lie_along_it(cli, run):
    text = cli("inspect", run, "--layer", NAME).stdout
    assert "27 random numbers, never updated" in text
    assert "the errors of classes, in place of its weights" in text
    assert "° from those of the layer" in text
    angle = json.loads(cli("inspect", run, "--layer", NAME, "--json").stdout)["weights"]["angle"]
    W, B = (held(run)[f"classes.{key}"][:, :-1].ravel() for key in "WB")
    assert np.cos(np.radians(angle)) == pytest.approx(
        W @ B / np.linalg.norm(W) / np.linalg.norm(B), abs=1e-6
    )
    assert "angle" not in cli("inspect", run, "--layer", "classes", "--json").stdout


def test_what_is_exported_does_not_hold_it(cli, run, workplace):
    for how in ((), ("--measured", 50, "--force")):
        outcome = cli("export", run, *how, "-o", "trained.onnx")
        assert outcome.code == 0, outcome.stderr
        names = {t.name for t in onnx.load(workplace / "trained.onnx").graph.initializer}
        assert names == {"w1", "b1", "w2", "b2"}


def test_pages_plan_files_and_tables_of_layers(cli, run, tiny_model, workplace):
    assert cli("report", run).code == 0
    assert NAME in (workplace / "run/report.html").read_text()
    assert cli("inspect", run, "--html", "page.html").code == 0
    assert NAME in (workplace / "page.html").read_text()
    assert cli("inspect", run, "--write-plan", "plan.toml").code == 0
    assert NAME not in (workplace / "plan.toml").read_text()
    assert cli("compile", tiny_model, *RANDOM, "--plan", "plan.toml", "-o", "p.onnx").code == 0
    found = json.loads(cli("eval", run, "--by-layer", "--json").stdout)
    assert {each["layer"] for each in found["layers"]} == {"hidden", "classes"}


def test_inference_has_none(cli, tiny_model, workplace):
    assert cli("compile", tiny_model, "--inference", *RANDOM, "-o", "p.onnx").code == 0
    assert [layer.name for layer in Program.load("p.onnx").plan.layers] == ["hidden", "classes"]


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("update.feedback=radnom", 'allowed: one of "weights", "random"'),
        ("update.feedback_seed=-1", "allowed: an integer from 0 to 4294967295"),
        (
            "layer.classes:feedback.update.bl=3",
            "tiny.onnx; the rules of 'classes' hold for its feedback matrix too",
        ),
    ],
)
def test_what_it_cannot_be_is_said_in_one_line(cli, tiny_model, files, key, message):
    before = files()
    outcome = cli("train", tiny_model, "--set", key)
    assert outcome.code in (1, 2)
    assert message in outcome.stderr
    assert outcome.stderr.count("\n") == 1
    assert files() == before
