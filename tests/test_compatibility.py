"""Files that released versions wrote, as docs/compatibility.md states: what loads, what is refused.

Each folder of `old_files/` was written by a version and is never written again: where a test here
fails, the page has to say so, or the reader has to learn the old form.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import rpucc

from .repository import ROOT

OLD = sorted((ROOT / "tests" / "old_files").iterdir())
PAGE = ROOT / "docs" / "compatibility.md"


@pytest.fixture(params=OLD, ids=lambda folder: folder.name)
def old(request, tmp_path, monkeypatch) -> Path:
    """A copy of the files of a version, as the folder that one is in."""
    place = tmp_path / "old"
    shutil.copytree(request.param, place)
    monkeypatch.chdir(place)
    return place


def run(*words: str, stderr: bool = False) -> str:
    from rpucc.cli.main import cli

    outcome = CliRunner(env={"COLUMNS": "100"}).invoke(cli, list(words), prog_name="rpucc")
    assert outcome.exit_code == 0, outcome.output
    return outcome.stderr if stderr else outcome.stdout


def test_programs_load_and_compute_the_same(old):
    program = rpucc.Program.load("tiny.rpu.onnx")
    assert program.verification is not None
    again = rpucc.compile("tiny.onnx", "target.toml")
    x = np.load("tiny.npz")["x"][:20]
    outputs = [rpucc.Trainer(rpucc.Machine(each, seed=3)).predict(x) for each in (program, again)]
    np.testing.assert_array_equal(*outputs)
    run("train", "tiny.rpu.onnx", "--data", "tiny.npz", "-o", "new")


def test_targets_load(old):
    assert rpucc.Target.load("target.toml") == rpucc.Target.load("rpu-managed")


def test_a_target_may_lack_every_key_that_has_a_default():
    """So that a target of a version before a key has what that version did."""
    from rpucc.report.keys import keys

    array = {"name": "a", "rows": 8, "cols": 8, "t_read": 1e-8}
    target = rpucc.Target.load({"name": "old", "array": [array], "device": {"model": "ideal"}})
    needed = {key.name for key in keys() if key.default is None}
    assert needed == {*array, "match"}
    assert (target.update.bl, target.periphery.ir_drop) == (10, 0)


def test_defaults_that_changed(old):
    """A training of a fresh network with a dropout; with both keys the program is as it was."""
    text = rpucc.models.build_cnn("c4k5 p2 f10", batch_norm=True)
    relu = next(node for node in text.graph.node if node.op_type == "Relu")
    (after,) = (node for node in text.graph.node if relu.output[0] in node.input)
    after.input[0] = "dropped"
    drop = onnx.helper.make_node("Dropout", [relu.output[0]], ["dropped"], name="drop")
    text.graph.node.insert(list(text.graph.node).index(after), drop)

    def ops(*overrides: str) -> set[str]:
        model = rpucc.compile(text, "target.toml", overrides=overrides, verify=False).model
        return {node.op_type for node in model.graph}

    assert {"BatchNorm", "Drop"} <= ops()
    assert not {"BatchNorm", "Drop"} & ops("batch_norm.policy=fold", "dropout.policy=off")


def test_plan_files_are_followed(old):
    run("compile", "tiny.onnx", "-t", "target.toml", "--plan", "plan.toml", "-o", "planned.onnx")
    program = rpucc.Program.load("planned.onnx")
    assert [layer.name for layer in program.plan.layers] == ["hidden", "classes"]


def test_plans_as_json_are_compared(old):
    assert "same" in run("diff", "plan.json", "tiny.rpu.onnx")


def test_run_folders_are_evaluated_and_gone_on_with(old):
    found = json.loads(run("eval", "run", "--json"))
    said = re.search(r"loss of (\d\.\d+)", Path("README.md").read_text(encoding="utf-8"))
    assert found["loss"] == pytest.approx(float(said[1]), abs=1e-3)
    assert found["epochs"] == 2
    run("inspect", "run")
    run("run", "run", "tiny.npz", "-o", "scores.npy")
    run("train", "run", "--resume", "--epochs", "3")
    run("train", "--from", "run", "--data", "tiny.npz", "-o", "another")


def test_reports_of_old_runs_say_what_they_lack(old):
    said = run("report", "run", "-o", "report.html", stderr=True)
    assert "layers.jsonl is not there, as trainings of earlier versions of rpucc have none" in said
    assert Path("report.html").stat().st_size > 10_000


def test_old_programs_hold_no_model_to_export(old):
    from rpucc.cli.main import cli

    outcome = CliRunner().invoke(cli, ["export", "run", "-o", "trained.onnx"], prog_name="rpucc")
    assert outcome.exit_code == 1
    assert "compile and train the model again with this version" in outcome.stderr
    assert not Path("trained.onnx").exists()


def test_checkpoints_load_with_their_program(old):
    machine = rpucc.Machine.load("run")
    assert machine.counters.epoch == 2
    program = rpucc.Program.load("run/program.onnx")
    again = rpucc.load_checkpoint("run/checkpoint.safetensors", program)
    for name, array in machine.arrays.items():
        np.testing.assert_array_equal(array.weights, again.arrays[name].weights)


def test_a_checkpoint_of_another_format_is_refused(old):
    path = Path("run/checkpoint.safetensors")
    data = path.read_bytes()
    assert data.count(b"rpucc-checkpoint-1") == 1
    path.write_bytes(data.replace(b"rpucc-checkpoint-1", b"rpucc-checkpoint-9"))
    with pytest.raises(rpucc.CheckpointError, match="format 'rpucc-checkpoint-9', this rpucc"):
        rpucc.Machine.load("run")


def test_the_page_names_versions_and_tests():
    """It has the numbers that the code has, and each test that it names is there."""
    from rpucc.opset import VERSION
    from rpucc.runtime.checkpoint_file import FORMAT

    page = PAGE.read_text(encoding="utf-8")
    assert f"version {VERSION} of the rpu operators" in page
    assert f"`{FORMAT}`" in page
    named = re.findall(r"`(test_\w+)`", page)
    source = Path(__file__).read_text(encoding="utf-8")
    assert len(named) > 5
    assert [name for name in named if f"def {name}(" not in source] == []
