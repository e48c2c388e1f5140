"""Devices of a user's own: found beside their target, imported only to run, never unasked.

The module of these tests leaves a mark in the test's folder whenever it is imported.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import rpucc
from rpucc.errors import TargetError

MODULE = """
from pathlib import Path
from rpucc.runtime.devices.constant_step import ConstantStep

with Path({mark!r}).open("a") as file:
    file.write("imported\\n")

class Mine(ConstantStep):
    name = "mine"
    defaults = {{**ConstantStep.defaults, "dw_min": {dw_min}}}
"""
MODEL = "mine_of_test:Mine"


def write_device(folder: Path, mark: Path, name: str = "mine_of_test", dw_min: float = 0.001):
    folder.mkdir(exist_ok=True)
    text = MODULE.format(mark=str(mark), dw_min=dw_min)
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    preset = rpucc.Target.load("rpu-managed", ["name=mine"]).model_dump(by_alias=True)
    lines = [f'name = "{folder.name}"', "[[array]]"]
    lines += [f"{key} = {json.dumps(value)}" for key, value in preset["array"][0].items()]
    lines += ["[device]", f'model = "{name}:Mine"', "[periphery]", "read_noise = 0.06"]
    target = folder / "mine.toml"
    target.write_text("\n".join(lines), encoding="utf-8")
    return target


@pytest.fixture
def mark(workplace: Path) -> Path:
    """The file that importing the device's module writes into."""
    return workplace / "mark.txt"


@pytest.fixture
def target(workplace: Path, mark: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A target file with its device beside it, away from the folder where commands run."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr("rpucc.runtime.devices.own._BESIDE", {})
    before = list(sys.path)
    yield write_device(workplace / "lab", mark)
    assert sys.path == before
    assert "mine_of_test" not in sys.modules


Imported = Callable[[], int]


@pytest.fixture
def imported(mark: Path) -> Imported:
    """How often the module was imported since the last call."""

    def count() -> int:
        times = len(mark.read_text().splitlines()) if mark.exists() else 0
        mark.unlink(missing_ok=True)
        return times

    return count


def test_commands_that_look_import_nothing(cli, tiny_model, tiny_data, target, imported) -> None:
    assert cli("check", tiny_model, "-t", target).code == 0
    made = cli("compile", tiny_model, "-t", target, "-o", "a.onnx")
    assert made.code == 0
    assert f"bytes a weight unknown: {MODEL} not imported" in made.stdout
    looks = [["a.onnx"], ["a.onnx", "--json"], ["a.onnx", "--layer", "hidden"]]
    for arguments in [*looks, ["a.onnx", "--cost"], ["a.onnx", "--html", "a.html"]]:
        assert cli("inspect", *arguments).code == 0
    assert cli("diff", "a.onnx", "a.onnx").code == 0
    assert cli("targets", "show", target).code == 0
    assert imported() == 0
    assert cli("train", tiny_model, "-t", target, "--data", tiny_data, "-o", "run").code == 0
    assert imported() == 1
    for arguments in [["run"], ["run", "--json"], ["run", "--layer", "hidden"]]:
        shown = cli("inspect", *arguments)
        assert shown.code == 0, shown.stderr
    assert "after 1 epoch, seed 0" in cli("inspect", "run").stdout
    assert cli("diff", "run", "a.onnx").code == 0
    assert imported() == 0


def test_train_says_which_module_it_imports(cli, tiny_model, tiny_data, target, imported) -> None:
    done = cli("train", tiny_model, "-t", target, "--data", tiny_data, "-o", "run")
    assert done.code == 0, done.stderr
    file = target.with_name("mine_of_test.py")
    assert done.stderr.splitlines()[0] == f"device {MODEL}: imports 'mine_of_test' ({file})"
    (last,) = (line for line in done.stderr.splitlines() if line.startswith("run folder: "))
    assert last.endswith("rpucc eval run --trust)")
    assert imported() == 1


def test_what_only_a_file_names_is_refused(
    cli, tiny_model, tiny_data, target, imported, workplace
) -> None:
    """A program and a run folder; nothing is written, nothing imported."""
    assert cli("train", tiny_model, "-t", target, "--data", tiny_data, "-o", "run").code == 0
    assert cli("compile", tiny_model, "-t", target, "-o", "a.onnx").code == 0
    imported()
    commands = [
        ("train", "a.onnx", "--data", tiny_data, "-o", "new"),
        ("run", "a.onnx", tiny_data),
        ("run", "run", tiny_data),
        ("eval", "run"),
        ("eval", "run/checkpoint.safetensors"),
        ("report", "run"),
        ("ablate", "run", "--evaluate", "-o", "out"),
        ("train", "run", "--resume", "--epochs", 2),
    ]
    for command in commands:
        before = sorted(path.name for path in workplace.iterdir())
        done = cli(*command)
        assert done.code == 1, command
        (line,) = done.stderr.splitlines()[-1:]
        assert line.startswith(f"Error: {command[1].split('/')[0]}: its device '{MODEL}' would")
        assert "--trust allows it" in line
        assert sorted(path.name for path in workplace.iterdir()) == before
    assert imported() == 0
    # a.onnx does not lie beside the device, but the run folder knows the target it was made with
    for command in commands[2:]:
        done = cli(*command, "--trust")
        assert done.code == 0, done.stderr
        assert f"device {MODEL}: imports 'mine_of_test' ({target.parent}" in done.stderr


def test_a_program_beside_its_device_runs_with_trust(
    cli, tiny_model, tiny_data, target, workplace
) -> None:
    program = target.with_name("a.onnx")
    assert cli("compile", tiny_model, "-t", target, "-o", program).code == 0
    done = cli("train", program, "--data", tiny_data, "--trust", "-o", "new")
    assert done.code == 0, done.stderr
    elsewhere = cli("compile", tiny_model, "-t", target, "-o", "b.onnx")
    assert elsewhere.code == 0
    lost = cli("train", "b.onnx", "--data", tiny_data, "--trust", "-o", "other")
    assert lost.code == 1
    last = lost.stderr.splitlines()[-1]
    assert "cannot import 'mine_of_test'" in last
    assert f"beside {workplace.resolve()}" in last
    assert not Path("other").exists()


def test_resuming_with_the_target_named_again(cli, tiny_model, tiny_data, target) -> None:
    options = ["-t", target, "--data", tiny_data, "-o", "run"]
    assert cli("train", tiny_model, *options).code == 0
    done = cli("train", "run", "--resume", "--epochs", 2, "-t", target)
    assert done.code == 0, done.stderr


def test_an_experiment_needs_trust(cli, tiny_model, tiny_data, target, imported) -> None:
    Path("own.toml").write_text(
        f'''
name = "own"
title = "t"
source = "s"
about = "a"
model = "{tiny_model}"
[training]
data = "{tiny_data}"
epochs = 1
average = [1, 1]
[quick]
data = "{tiny_data}"
epochs = 1
average = [1, 1]
[[row]]
name = "one"
label = "one"
target = "{target}"
''',
        encoding="utf-8",
    )
    refused = cli("reproduce", "own.toml")
    assert refused.code == 1
    assert "--trust allows it" in refused.stderr.splitlines()[-1]
    assert imported() == 0
    done = cli("reproduce", "own.toml", "--trust")
    assert done.code == 0, done.stderr
    assert imported() == 1


def test_python_says_it_too(tiny_model, target, imported, workplace) -> None:
    program = rpucc.compile(tiny_model, target)
    assert imported() == 0
    rpucc.Machine(program)
    assert imported() == 1
    program.save(target.with_name("a.onnx"))
    path = target.with_name("a.onnx")
    loaded = rpucc.Program.load(path)
    assert loaded.own_devices == (MODEL,)
    for untrusted in (loaded, rpucc.Program.load(path, trust=["other:Device"])):
        with pytest.raises(TargetError, match=r"imports the module 'mine_of_test'.*trust=True"):
            rpucc.Machine(untrusted)
    for trust in (True, [MODEL]):
        rpucc.Machine(rpucc.Program.load(path, trust=trust))
    rpucc.Machine(rpucc.compile(tiny_model, rpucc.Target.load(target, ["device.dw_min=0.002"])))


def test_modules_of_one_name_in_two_folders(tiny_model, target, mark, workplace) -> None:
    other = write_device(workplace / "other", mark, dw_min=0.5)
    machines = [rpucc.Machine(rpucc.compile(tiny_model, t)) for t in (target, other, target)]
    steps = [m.arrays["hidden.W"].planes["weight"].device.dw_min for m in machines]
    assert steps == [0.001, 0.5, 0.001]


def test_a_module_that_leaves(tiny_model, target) -> None:
    target.with_name("mine_of_test.py").write_text("raise SystemExit(3)", encoding="utf-8")
    with pytest.raises(TargetError, match="importing 'mine_of_test' raises SystemExit"):
        rpucc.Machine(rpucc.compile(tiny_model, target))


def test_another_training_from_a_run(cli, tiny_model, tiny_data, target, imported) -> None:
    assert cli("train", tiny_model, "-t", target, "--data", tiny_data, "-o", "run").code == 0
    imported()
    refused = cli("train", "--from", "run", "-o", "next")
    assert refused.code == 1
    assert "--trust allows it" in refused.stderr.splitlines()[-1]
    assert not Path("next").exists()
    assert imported() == 0
    done = cli("train", "--from", "run", "-o", "next", "--trust")
    assert done.code == 0, done.stderr
    assert cli("eval", "next", "--trust").code == 0
