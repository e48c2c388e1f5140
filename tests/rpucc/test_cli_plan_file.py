"""`rpucc compile` under a budget, and the plan file: written, edited, compiled again, refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from rpucc.cli.main import cli
from rpucc.errors import TargetError
from rpucc.program import Program
from rpucc.target.target import Target

GRID = ("--set", "array.rows=100", "--set", "array.cols=60")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def rpucc(*arguments: object) -> Result:
    runner = CliRunner(env={"COLUMNS": "100"})
    return runner.invoke(cli, [str(a) for a in arguments], prog_name="rpucc")


def compiled(*arguments: object) -> Program:
    done = rpucc("compile", "lenet", "--no-verify", "-o", "l.onnx", *arguments)
    assert done.exit_code == 0, done.stderr
    return Program.load("l.onnx")


def homes(program: Program) -> list[tuple[str, int, int, str, int]]:
    blocks = program.plan.placement.blocks()
    return [(b.layer, b.row, b.col, b.kind, b.array) for b in blocks]


# --- the plan file -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        GRID,
        (*GRID, "--set", "placement.share=true"),
        ("--set", "placement.share=true", "--set", "layer.fc1.analog=false"),
        (*GRID, "--set", "layer.fc2.arrays=[40, 3, 8]"),
    ],
)
def test_what_is_written_gives_the_same_program(options: tuple[str, ...]) -> None:
    first = compiled(*options)
    written = rpucc("inspect", "l.onnx", "--write-plan", "plan.toml")
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "wrote plan.toml\n")
    assert max(map(len, Path("plan.toml").read_text().splitlines())) <= 100
    again = compiled(*(GRID if GRID[1] in options else ()), "--plan", "plan.toml")
    assert homes(again) == homes(first)
    assert again.plan.layers == first.plan.layers
    assert again.plan.share == first.plan.share
    rpucc("inspect", "l.onnx", "--write-plan", "again.toml")
    assert Path("again.toml").read_text() == Path("plan.toml").read_text()


def test_an_edit_is_followed() -> None:
    compiled(*GRID)
    rpucc("inspect", "l.onnx", "--write-plan", "plan.toml")
    text = Path("plan.toml").read_text()
    assert 'match = "fc2"' in text
    Path("plan.toml").write_text(text.replace('arrays = ["26-28"]', "arrays = [99, 98, 97]"))
    edited = compiled(*GRID, "--plan", "plan.toml")
    assert [home[-1] for home in homes(edited) if home[0] == "fc2"] == [99, 98, 97]
    assert edited.plan.arrays == {"small": 29}


def test_set_comes_after_the_plan_file() -> None:
    Path("plan.toml").write_text('[[layer]]\nmatch = "conv1"\narrays = [7]\n')
    assert homes(compiled("--plan", "plan.toml"))[0][-1] == 7
    program = compiled("--plan", "plan.toml", "--set", "layer.conv1.analog=false")
    assert program.target.for_layer("conv1").arrays == (7,)
    assert "conv1" not in {grid.layer for grid in program.plan.grids}


def test_a_plan_that_cannot_be_followed_is_one_line() -> None:
    Path("plan.toml").write_text('[[layer]]\nmatch = "conv*"\narrays = [0]\n')
    refused = rpucc("compile", "lenet", "--plan", "plan.toml")
    assert refused.exit_code == 1
    assert refused.stderr == (
        "Error: target rpu-managed: layer 'conv2': arrays: array 0 holds layer 'conv1' already; "
        "take another, or let tiles share arrays with placement.share = true\n"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "plan file p.toml: no such file; rpucc inspect PROGRAM --write-plan FILE makes one"),
        ("", "plan file p.toml: is empty; a plan file needs [[layer]] rules"),
        ("[[layer]\n", "plan file p.toml: no valid TOML: "),
        ("[update]\nbl = 1\n", "plan file p.toml: update: unknown key; allowed: placement, layer"),
        ("[[layer]]\narrays = [0]\n", "plan file p.toml: layer.0.match: missing; allowed: a glob"),
        ('[[layer]]\nmatch = "a"\narays = [0]\n', "layer.0.arays: unknown key; did you mean 'arra"),
        ('[[layer]]\nmatch = "a"\narrays = ["9-1"]\n', "layer.0.arrays: found a list of 1"),
        (
            '[[layer]]\nmatch = "a"\n[layer.periphery]\nbound = 0\n',
            " on target rpu-managed: layer.0",
        ),
    ],
)
def test_what_is_no_plan_file(text: str | None, message: str) -> None:
    if text is not None:
        Path("p.toml").write_text(text)
    with pytest.raises(TargetError) as refused:
        Target.load("rpu-managed").with_plan("p.toml")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_names_that_a_glob_would_read() -> None:
    from rpucc.report.plan_file import as_toml

    program = compiled()
    for node in program.model.graph:
        if node.metadata_props.get("rpucc.layer") == "conv1":
            node.metadata_props["rpucc.layer"] = 'a[0]*"?\x07é'
    program = Program(program.model)
    Path("plan.toml").write_text(as_toml(program), encoding="utf-8")
    target = Target.load("rpu-managed").with_plan("plan.toml")
    assert target.for_layer('a[0]*"?\x07é').arrays == (0,)
    assert target.for_layer('a0*"?\x07é').arrays == ()


# --- too few arrays ----------------------------------------------------------------------------


def test_too_few_arrays_are_a_report_and_one_line() -> None:
    refused = rpucc("compile", "lenet", *GRID, "--set", "array.small.count=20")
    assert refused.exit_code == 1
    assert refused.stdout == ""
    lines = [" ".join(line.split()) for line in refused.stderr.splitlines()]
    assert "small 100 × 60 29 20 9" in lines
    assert "fc1 128 × 513 small 18 18" in lines
    assert "analog = false for 1 layer: fc1 11 small yes" in lines
    assert lines[-1].startswith(
        "Error: target rpu-managed: the network needs 29 arrays 'small' of "
    )
    assert max(map(len, refused.stderr.splitlines()[:-1])) <= 100


def test_too_few_arrays_as_json() -> None:
    refused = rpucc("compile", "lenet", *GRID, "--set", "array.small.count=20", "--json")
    assert refused.exit_code == 1
    report = json.loads(refused.stdout)["infeasible"]
    assert report["shortages"] == [
        {"kind": "small", "size": [100, 60], "needed": 29, "count": 20, "missing": 9}
    ]
    assert [layer["arrays"] for layer in report["layers"]] == [1, 7, 18, 3]
    assert any(remedy["fits"] for remedy in report["remedies"])


def test_the_plan_counts_arrays_with_and_without_sharing() -> None:
    done = rpucc("compile", "lenet", "--no-verify", "--json", "--set", "placement.share=true")
    totals = json.loads(done.stdout)["plan"]["totals"]
    assert totals["arrays"] == totals["arrays_sharing"] == {"small": 2, "large": 1}
    assert totals["arrays_apart"] == {"small": 3, "large": 1}
