"""Every command that compiles a model takes every option of a compilation, and acts on it."""

from __future__ import annotations

import ast
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

import rpucc
from rpucc.cli.main import COMMANDS
from rpucc.compiler import check as checking
from rpucc.compiler import compile as compiler
from rpucc.compiler.options import FLAGS, CompileOptions
from rpucc.layers import analog_layers
from rpucc.program import Program

COMMANDS_THAT_COMPILE: dict[str, tuple[str, ...]] = {
    "compile": (),
    "check": (),
    "train": ("training",),  # it trains
    "run": ("training", "loss"),  # it infers, and computes no loss
    "eval": ("training", "class_weights", "label_smoothing", "freeze"),  # a model layer by layer
}
"""Command -> fields of CompileOptions that it decides by itself."""
FOR_SEVERAL = {"machines": {"run", "eval"}}
"""Module that compiles for several commands -> the commands."""
WITHOUT_OPTIONS = {
    "demo",  # a given model on a given target
    "reproduce",  # what an experiment's file says
}
"""Modules of commands that compile what nobody else names."""

GIVEN: dict[str, tuple[tuple[str, ...], Any]] = {
    "overrides": (
        ("--set", "update.bl=3", "--set", "device.dw_min=0.1"),
        ("update.bl=3", "device.dw_min=0.1"),
    ),
    "plan": (("--plan", "plan.toml"), Path("plan.toml")),
    "training": (("--inference",), False),
    "loss": (("--loss", "mse"), "mse"),
    "class_weights": (("--class-weights", "1,2.5,0"), (1.0, 2.5, 0.0)),
    "label_smoothing": (("--label-smoothing", "0.1"), 0.1),
    "freeze": (("--freeze", "hid*", "--freeze", "classes"), ("hid*", "classes")),
    "init": (("--init", "glorot:7"), "glorot:7"),
    "input_range": (("--input-range", "-1", "2.5"), (-1.0, 2.5)),
    "input_shape": (("--input-shape", "12"), (12,)),
    "mean": (("--mean", "-0.5,0.25,1e-3"), (-0.5, 0.25, 0.001)),
    "std": (("--std", "2"), (2.0,)),
    "verify": (("--no-verify",), False),
}
"""Field -> how it is given, and what becomes of it."""

PAIRS = [
    (command, name)
    for command, fixed in COMMANDS_THAT_COMPILE.items()
    for name in FLAGS
    if name not in fixed
]


def arguments(command: str, model: object = "tiny.onnx") -> list[object]:
    """A call of a command on the tiny model that is whole but for options of compiling."""
    further = {
        "compile": ["-o", "p.onnx"],
        "train": ["--data", "tiny.npz", "-o", "run"],
        "run": ["tiny.npz"],
        "eval": ["--by-layer", "--data", "tiny.npz"],
    }
    return [command, model, *further.get(command, [])]


# --- one source --------------------------------------------------------------------------------


def test_these_are_all_commands_that_compile():
    import rpucc.cli

    found = set()
    for path in Path(rpucc.cli.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in (
                "rpucc.compiler.compile",
                "rpucc.compiler.check",
            ):
                found |= {path.stem for alias in node.names if alias.name.endswith("_model")}
    commands = set().union(*(FOR_SEVERAL.get(module, {module}) for module in found))
    assert commands == set(COMMANDS_THAT_COMPILE) | WITHOUT_OPTIONS


@pytest.mark.parametrize("command", COMMANDS_THAT_COMPILE)
def test_the_fields_are_the_options(command):
    module, function = COMMANDS[command][0].split(":")
    fixed = COMMANDS_THAT_COMPILE[command]
    parameters = {p.name: p for p in getattr(import_module(module), function).params}
    assert "target" in parameters
    assert {name for name in FLAGS if name in parameters} == set(FLAGS) - set(fixed)
    for name in set(FLAGS) - set(fixed):
        flag, parameter = FLAGS[name], parameters[name]
        assert "/".join([*parameter.opts, *parameter.secondary_opts]) == flag.names
        assert parameter.help == flag.help
    assert set(GIVEN) == set(FLAGS)


# --- what is given arrives ---------------------------------------------------------------------


@pytest.fixture
def seen(monkeypatch) -> list[CompileOptions]:
    """The options of every compilation, each of which is refused."""
    found: list[CompileOptions] = []

    def compile_watched(model: object, target: object, options: CompileOptions, *rest: object):
        found.append(options)
        raise rpucc.ModelError("seen")

    for module in (compiler, checking):
        monkeypatch.setattr(module, "compile_watched", compile_watched)
    return found


@pytest.mark.parametrize(("command", "name"), PAIRS)
def test_every_command_takes_every_option(cli, seen, tiny_model, tiny_data, command, name):
    Path("plan.toml").write_text('[[layer]]\nmatch = "hidden"\nanalog = false\n')
    given, value = GIVEN[name]
    outcome = cli(*arguments(command), *given)
    assert (outcome.code, outcome.stderr) == (1, "Error: seen\n")
    (options,) = seen
    assert getattr(options, name) == value
    fixed = {"train": {"training": True}, "run": {"training": False}}.get(command, {})
    for other, expected in {**CompileOptions().__dict__, **fixed}.items():
        if other not in (name, "input_shape", "verify", "callbacks"):
            assert getattr(options, other) == expected, other


@pytest.mark.parametrize("command", ["train", "run"])
def test_what_a_command_decides_is_no_option(cli, tiny_model, tiny_data, command):
    outcome = cli(*arguments(command), "--inference")
    assert (outcome.code, outcome.stdout) == (2, "")
    assert "No such option" in outcome.stderr


# --- and is acted on ---------------------------------------------------------------------------


def test_a_plan_file_is_followed_by_every_command(cli, tiny_model, tiny_data):
    Path("plan.toml").write_text('[[layer]]\nmatch = "hidden"\nanalog = false\n')
    plan = ("--plan", "plan.toml")
    assert cli(*arguments("compile"), *plan).code == 0
    assert {grid.layer for grid in Program.load("p.onnx").plan.grids} == {"classes"}
    nodes = json.loads(cli(*arguments("check"), *plan, "--json").stdout)["nodes"]
    fates = {node["node"]: node["fate"] for node in nodes}
    assert (fates["hidden"], fates["classes"]) == ("digital", "array")
    assert cli(*arguments("train"), *plan).code == 0
    assert {grid.layer for grid in Program.load("run/program.rpu.onnx").plan.grids} == {"classes"}


def test_a_plan_file_is_followed_by_run(cli, tiny_model, tiny_data):
    """With all layers digital there is no noise: the outputs are those of the ideal arrays."""
    Path("plan.toml").write_text('[[layer]]\nmatch = "*"\nanalog = false\n')
    for name, options in {"digital": ["--plan", "plan.toml"], "ideal": ["-t", "ideal"]}.items():
        assert cli(*arguments("run"), *options, "-o", f"{name}.npy").code == 0
    assert cli(*arguments("run"), "-o", "noisy.npy").code == 0
    digital, ideal, noisy = (np.load(f"{n}.npy") for n in ("digital", "ideal", "noisy"))
    assert abs(digital - ideal).max() < 1e-5 < abs(noisy - ideal).max()


@pytest.mark.parametrize("command", COMMANDS_THAT_COMPILE)
def test_a_plan_that_cannot_be_followed_is_one_line(cli, files, tiny_model, tiny_data, command):
    Path("plan.toml").write_text('[[layer]]\nmatch = "hidden"\narrays = [0, 0]\n')
    before = files()
    for plan, said in (
        ("plan.toml", "target rpu-managed: layer 'hidden': arrays: found 2 ids; needs one id"),
        ("no.toml", "plan file no.toml: no such file; rpucc inspect PROGRAM --write-plan FILE"),
    ):
        outcome = cli(*arguments(command), "--plan", plan)
        assert outcome.code == 1
        assert said in " ".join((outcome.stderr + outcome.stdout).split())
    assert files() == before


@pytest.mark.parametrize("command", ["compile", "run"])
def test_what_is_read_is_not_written_over(cli, files, tiny_model, tiny_data, command):
    Path("plan.npy").write_text('[[layer]]\nmatch = "hidden"\nanalog = false\n')
    call = [command, "tiny.onnx", *(["tiny.npz"] if command == "run" else [])]
    before = files()
    outcome = cli(*call, "--plan", "plan.npy", "-o", "plan.npy")
    assert outcome.stderr == (
        "Error: plan.npy: is what the command reads; give the name of another file\n"
    )
    assert files() == before


@pytest.fixture
def open_model(make_model):
    """A convolution of images of any size."""
    random = np.random.default_rng(0)
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["h"], "conv", kernel_shape=[3, 3]),
        helper.make_node("GlobalAveragePool", ["h"], ["p"], "pool"),
        helper.make_node("Flatten", ["p"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "v"], ["y"], "classes"),
    ]
    images = random.integers(0, 256, (40, 1, 6, 6), np.uint8)
    np.savez("images.npz", x=images, y=np.arange(40) % 3)
    shapes = {"w": (2, 1, 3, 3), "v": (2, 3)}
    weights = {name: random.uniform(-0.5, 0.5, shape) for name, shape in shapes.items()}
    return make_model("open.onnx", nodes, ["N", 1, "H", "W"], **weights)


def test_an_input_shape_is_taken_by_every_command(cli, open_model):
    shape = ("--input-shape", "1,6,6")
    for command in ("compile", "check"):
        refused = cli(command, "open.onnx")
        assert "--input-shape" in refused.stderr + refused.stdout
        assert refused.code == 1
    assert cli("compile", "open.onnx", "-o", "p.onnx", *shape).code == 0
    assert cli("check", "open.onnx", *shape).code == 0
    assert cli("train", "open.onnx", "--data", "images.npz", "-o", "run", *shape).code == 0
    assert cli("run", "open.onnx", "images.npz", *shape).code == 0
    wrong = ("--input-shape", "1,6")
    for call in (
        ["compile", "open.onnx"],
        ["check", "open.onnx"],
        ["train", "open.onnx", "--data", "images.npz", "-o", "other"],
        ["run", "open.onnx", "images.npz"],
    ):
        refused = cli(*call, *wrong)
        assert refused.code == 2
        assert "--input-shape 1,6 does not fit the input 'x'" in refused.stderr
    assert not Path("other").exists()


@pytest.mark.parametrize("command", COMMANDS_THAT_COMPILE)
def test_verification_is_done_where_it_is_asked_for(
    cli, monkeypatch, tiny_model, tiny_data, command
):
    asked: list[bool] = []

    def refused(*_: object, **__: object):
        asked.append(True)
        raise rpucc.VerificationError("differs")

    monkeypatch.setattr(compiler, "lower_and_verify", refused)
    outcome = cli(*arguments(command), "--verify")
    assert (outcome.code, outcome.stderr) == (3, "Error: differs\n")
    asked.clear()
    assert cli(*arguments(command), "--no-verify").code == 0
    assert asked == []


# --- runs are repeated -------------------------------------------------------------------------


def test_a_run_keeps_what_it_was_compiled_with(cli, tiny_model, tiny_data):
    Path("plan.toml").write_text('[[layer]]\nmatch = "hidden"\nanalog = false\n')
    given = ("--plan", "plan.toml", "--set", "update.bl=3", "--input-range", "-1", "1")
    call = ("train", "tiny.onnx", "--data", "tiny.npz", *given)
    assert cli(*call, "-o", "run").code == 0
    kept = json.loads(Path("run/run.json").read_text())
    assert kept["plan"] == str(Path("plan.toml").resolve())
    assert (kept["overrides"], kept["input_range"]) == (["update.bl=3"], [-1.0, 1.0])
    assert (kept["loss"], kept["input_shape"], "verify" in kept) == ("auto", None, False)

    again = ["train", kept["model"], "-t", kept["target"], "--plan", kept["plan"], "-o", "again"]
    again += [word for item in kept["overrides"] for word in ("--set", item)]
    again += ["--input-range", *kept["input_range"], "--data", kept["data"]]
    assert cli(*again).code == 0
    for name in ("program.rpu.onnx", "metrics.csv", "checkpoint.safetensors"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes()


def test_a_resumed_run_keeps_its_plan(cli, tiny_model, tiny_data):
    for name in ("plan", "other"):
        Path(f"{name}.toml").write_text('[[layer]]\nmatch = "hidden"\nanalog = false\n')
    call = ("train", "tiny.onnx", "--data", "tiny.npz", "-o", "run")
    assert cli(*call, "--plan", "plan.toml").code == 0
    resumed = ("train", "run", "--resume", "--epochs", 2)
    assert cli(*resumed, "--plan", "plan.toml").code == 0
    refused = cli(*resumed, "--plan", "other.toml")
    assert refused.code == 2
    assert refused.stderr.startswith("Error: --plan: run was started with /")
    kept = json.loads(Path("run/run.json").read_text())
    assert (kept["plan"], kept["epochs"]) == (str(Path("plan.toml").resolve()), 2)
    assert cli("train", "--from", "run", "-o", "next").code == 0
    assert json.loads(Path("next/run.json").read_text())["plan"] == kept["plan"]


def test_a_run_of_an_earlier_version_has_no_plan(cli, tiny_model, tiny_data):
    assert cli("train", "tiny.onnx", "--data", "tiny.npz", "-o", "run").code == 0
    record = Path("run/run.json")
    kept = json.loads(record.read_text())
    del kept["plan"]
    record.write_text(json.dumps(kept))
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0
    assert json.loads(record.read_text())["plan"] is None


# --- weights are drawn -------------------------------------------------------------------------


def first_weights(path: str) -> np.ndarray:
    """The weights of the first layer in a program."""
    layer = analog_layers(Program.load(path).model)[0]
    return layer.weight.const_value.numpy()


@pytest.mark.parametrize("command", ["run", "eval", "train"])
def test_weights_are_drawn_by_the_seed_of_the_command(cli, seen, tiny_model, tiny_data, command):
    cli(*arguments(command), "--init", "he", "--seed", 5)
    cli(*arguments(command), "--init", "he:9", "--seed", 5)
    cli(*arguments(command), "--init", "he")
    assert [options.init for options in seen] == ["he:5", "he:9", "he:0"]


def test_a_model_is_trained_from_scratch_and_repeated(cli, tiny_model, tiny_data):
    call = ("train", "tiny.onnx", "--data", "tiny.npz", "--init", "he", "-o")
    outcome = cli(*call, "run", "--seed", 4)
    assert outcome.code == 0, outcome.stderr
    assert "initial weights (he, seed 4): drawn anew in 2 layers, biases 0" in outcome.stderr
    assert json.loads(Path("run/run.json").read_text())["init"] == "he:4"
    assert cli("train", "tiny.onnx", "--data", "tiny.npz", "--seed", 4, "-o", "given").code == 0
    assert cli(*call, "other", "--seed", 5).code == 0
    run, given, other = (
        first_weights(f"{name}/program.rpu.onnx") for name in ("run", "given", "other")
    )
    assert not np.any((run == given)[:, :-1])
    assert not np.any((run == other)[:, :-1])
    said = json.loads(cli("report", "run", "--json").stdout)["command"]
    assert "--init he:4" in said
    assert cli(*said.replace(" -o run-again", " -o again").split()[1:]).code == 0
    assert cli("compile", "tiny.onnx", "--init", "he:4", "-o", "p.onnx").code == 0
    assert np.array_equal(first_weights("p.onnx"), run)
    for name in ("program.rpu.onnx", "metrics.csv", "checkpoint.safetensors"):
        assert Path("again", name).read_bytes() == Path("run", name).read_bytes()


def test_a_resumed_run_keeps_its_initial_weights(cli, tiny_model, tiny_data):
    call = ("train", "tiny.onnx", "--data", "tiny.npz", "--init", "lecun:2", "-o", "run")
    assert cli(*call).code == 0
    before = Path("run/program.rpu.onnx").read_bytes()
    assert cli("train", "run", "--resume", "--epochs", 2).code == 0
    assert cli("train", "run", "--resume", "--epochs", 3, "--init", "lecun:2").code == 0
    assert Path("run/program.rpu.onnx").read_bytes() == before
    refused = cli("train", "run", "--resume", "--epochs", 4, "--init", "he")
    assert refused.stderr == (
        "Error: --init: run was started with lecun:2, not he:0; a resumed training keeps it\n"
    )
    refused = cli("train", "--from", "run", "--init", "he", "-o", "next")
    assert (refused.code, "--init: no effect on --from run" in refused.stderr) == (2, True)
    assert not Path("next").exists()


@pytest.mark.parametrize("init", ["xavier", "he:-1", "he:1.5", "he:18446744073709551616"])
def test_what_is_no_initialisation_is_one_line(cli, files, tiny_model, tiny_data, init):
    before = files()
    refused = cli("train", "tiny.onnx", "--data", "tiny.npz", "--init", init, "-o", "run")
    assert (refused.code, refused.stdout) == (2, "")
    assert f"Invalid value for '--init': init: found the str '{init}'" in refused.stderr
    assert "he, glorot, lecun or uniform" in refused.stderr
    assert files() == before


@pytest.mark.parametrize("flag", ["--no-verify", "--verify"])
def test_an_option_without_effect_is_named_as_it_was_written(cli, tiny_model, tiny_data, flag):
    assert cli("compile", "tiny.onnx", "-o", "p.onnx").code == 0
    Path("plan.toml").write_text("")
    refused = cli("train", "p.onnx", flag, "--plan", "plan.toml")
    assert refused.stderr == (
        f"Error: --plan, {flag}: no effect on p.onnx, which is compiled already\n"
    )
    refused = cli("run", "p.onnx", "tiny.npz", flag)
    assert refused.stderr == f"Error: {flag}: no effect on p.onnx, which is compiled already\n"
