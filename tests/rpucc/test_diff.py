"""`rpucc diff`: what differs between two plans, in programs and in JSON files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.compiler import compile_model
from rpucc.plan import Plan
from rpucc.report.diff import Change, diff


def run(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


def plan_of(*overrides: str, model: str = "lenet", training: bool = True) -> Plan:
    return compile_model(
        model, "rpu-managed", overrides=overrides, training=training, verify=False
    ).plan


@pytest.fixture(scope="module")
def before() -> Plan:
    return plan_of()


def test_a_plan_is_the_same_as_itself(before: Plan) -> None:
    found = diff(before.to_dict(), json.loads(json.dumps(before.to_dict())))
    assert found.same
    assert found.same_layers == 4
    assert not found.layers


def test_policy_and_time(before: Plan) -> None:
    found = diff(before.to_dict(), plan_of("update.bl=5").to_dict())
    assert set(found.layers) == {"conv1", "conv2", "fc1", "fc2"}
    assert found.layers["fc2"][0] == Change("update bl", 10, 5)
    assert {change.key for change in found.layers["fc2"]} == {"update bl", "training_seconds"}
    totals = {c.key: (c.before, c.after) for c in found.totals}
    assert totals["training_image_seconds"][0] > totals["training_image_seconds"][1]


def test_cuts_kind_and_arrays(before: Plan) -> None:
    found = diff(before.to_dict(), plan_of("array.0.cols=300").to_dict())
    assert set(found.layers) == {"conv1", "conv2", "fc2"}
    keys = {change.key: (change.before, change.after) for change in found.layers["conv2"]}
    assert keys["array"] == ("small", "large") or keys["grid"] == ([1, 1], [1, 2])
    assert found.same_layers == 1


def test_the_same_grid_cut_elsewhere_differs(before: Plan) -> None:
    moved = json.loads(json.dumps(before.to_dict()))
    moved["layers"][1]["col_cuts"] = [0, 400]
    (change,) = diff(before.to_dict(), moved).layers["conv2"]
    assert change == Change("col_cuts", [0, 401], [0, 400])


def test_layers_come_go_and_move(before: Plan) -> None:
    found = diff(before.to_dict(), plan_of(model="mlp").to_dict())
    assert found.added
    assert set(found.removed) == {"conv1", "conv2"}
    swapped = before.to_dict()
    swapped["layers"] = swapped["layers"][::-1]
    assert diff(before.to_dict(), swapped).moved
    assert not diff(before.to_dict(), swapped).same


def test_rounding_is_no_difference(before: Plan) -> None:
    rounded = json.loads(json.dumps(before.to_dict()))
    rounded["layers"][0]["seconds"] *= 1 + 1e-12
    assert diff(before.to_dict(), rounded).same
    rounded["layers"][0]["seconds"] *= 1 + 1e-6
    assert not diff(before.to_dict(), rounded).same


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plans")
    for name, overrides in (("a", []), ("b", ["update.bl=5"])):
        program = compile_model("lenet", "rpu-managed", overrides=overrides, verify=False)
        program.save(folder / f"{name}.onnx")
        shown = run("inspect", folder / f"{name}.onnx", "--json")
        (folder / f"{name}.json").write_text(shown.stdout, encoding="utf-8")
    return folder


@pytest.mark.parametrize("first", ["a.onnx", "a.json"])
@pytest.mark.parametrize("second", ["b.onnx", "b.json"])
def test_programs_and_json_compare_alike(first: str, second: str, files: Path) -> None:
    shown = run("diff", files / first, files / second)
    assert shown.exit_code == 0
    assert "update bl" in shown.stdout
    assert shown.stdout.rstrip().endswith("0 layers alike")
    assert run("diff", files / first, files / second, "--exit-code").exit_code == 1
    data = json.loads(run("diff", files / first, files / second, "--json").stdout)
    assert data["layers"]["fc1"]["update bl"] == [10, 5]
    assert data["totals"]["tiles"] == [4, 4]


def test_the_same_plan(files: Path) -> None:
    shown = run("diff", files / "a.onnx", files / "a.json", "--exit-code")
    assert (shown.exit_code, shown.stdout) == (0, "the same plan: 4 layers alike\n")


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("{", "no valid JSON"),
        ('{"a": 1}', "not of a plan"),
        ('{"plan": {"layers": [1], "totals": {}}}', "not of a plan"),
        ('{"plan": []}', "not of a plan"),
        ("[]", "not an ONNX file"),
    ],
)
def test_what_is_no_plan_is_one_line(
    content: str, fragment: str, files: Path, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(content)
    shown = run("diff", files / "a.json", wrong)
    assert shown.exit_code == 1
    assert fragment in shown.stderr
    assert len(shown.stderr.splitlines()) == 1
    assert "wrong.json" in shown.stderr


def test_a_missing_file_is_one_line(files: Path) -> None:
    shown = run("diff", files / "a.json", files / "missing.onnx")
    assert shown.exit_code == 1
    assert "missing.onnx" in shown.stderr
