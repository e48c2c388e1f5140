"""Programs of another version of the rpu operators: one line says which, and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

import rpucc
from rpucc.errors import VersionError
from rpucc.opset import DOMAIN, VERSION
from rpucc.program import Program

OTHER = {1: "compile the original model again with this version", 3: "install a newer rpucc"}
"""Version -> what helps."""


def line(path: Path | str, version: int) -> str:
    return (
        f"{path}: a program of version {version} of the rpu operators, written by rpucc "
        f"{rpucc.__version__}; rpucc {rpucc.__version__} reads version {VERSION}: {OTHER[version]}"
    )


def write_as(path: Path, version: int) -> None:
    """Make a program one of another version; what versions after ours have is unknown to onnx."""
    model = onnx.load(path)
    for entry in model.opset_import:
        if entry.domain == DOMAIN:
            entry.version = version
    if version > VERSION:
        for node in model.graph.node:
            if node.op_type in ("Read", "BoundedRead"):
                node.attribute.append(onnx.helper.make_attribute("of_tomorrow", [1.5, 2.5]))
        new = onnx.helper.make_node("Forget", ["y"], ["forgotten"], "forget", domain=DOMAIN)
        model.graph.node.append(new)
    onnx.save(model, path)


@pytest.fixture(params=OTHER)
def version(request) -> int:
    return request.param


@pytest.fixture
def run(cli, tiny_model, tiny_data, version) -> Path:
    """A run folder whose program is of another version."""
    options = ["--data", tiny_data, "--batch-size", 3, "--epochs", 1]
    assert cli("train", tiny_model, *options, "-o", "first").code == 0
    write_as(Path("first", "program.rpu.onnx"), version)
    return Path("first")


@pytest.mark.parametrize(
    "words",
    [
        ("inspect", "PROGRAM"),
        ("diff", "PROGRAM", "PROGRAM"),
        ("run", "PROGRAM", "DATA", "-o", "out.npz"),
        ("train", "PROGRAM", "--data", "DATA", "-o", "second"),
        ("inspect", "RUN"),
        ("eval", "RUN", "--data", "DATA"),
        ("run", "RUN", "DATA", "-o", "out.npz"),
        ("train", "--from", "RUN", "-o", "second"),
        ("train", "--resume", "RUN", "--epochs", "3"),
        ("eval", "CHECKPOINT", "--data", "DATA"),
        ("eval", "CHECKPOINT", "--program", "PROGRAM", "--data", "DATA"),
    ],
    ids=" ".join,
)
def test_every_command_that_reads_a_program_says_it(cli, run, tiny_data, version, words, files):
    places = {
        "RUN": run,
        "PROGRAM": run / "program.rpu.onnx",
        "CHECKPOINT": run / "checkpoint.safetensors",
        "DATA": tiny_data,
    }
    before = files()
    outcome = cli(*(places.get(word, word) for word in words))
    assert outcome.code == 1
    assert outcome.stdout == ""
    assert outcome.stderr.splitlines()[-1] == f"Error: {line(run / 'program.rpu.onnx', version)}"
    assert files() == before


def test_loading_in_python(run, version):
    with pytest.raises(VersionError) as caught:
        Program.load(run / "program.rpu.onnx")
    assert str(caught.value) == line(run / "program.rpu.onnx", version)


@pytest.mark.parametrize("command", ["compile", "check"])
def test_a_program_is_no_model_whatever_its_version(cli, run, command):
    outcome = cli(command, run / "program.rpu.onnx")
    assert outcome.code == 1
    assert "compile the original model" in outcome.stdout + outcome.stderr
    assert "Traceback" not in outcome.stdout + outcome.stderr


def test_a_file_says_what_it_is_in_one_line(run, version):
    """Whoever wrote it: text of a file stays one line, and short."""
    path = run / "program.rpu.onnx"
    model = onnx.load(path)
    (note,) = (each for each in model.metadata_props if each.key == "rpucc.version")
    note.value = "9\n" * 1000
    onnx.save(model, path)
    with pytest.raises(VersionError) as caught:
        Program.load(path)
    assert re.search(rf"of version {version} of .* {OTHER[version]}$", str(caught.value))
    assert len(str(caught.value)) < 300


def test_a_network_without_arrays_has_no_version(cli, tiny_model):
    """All its layers are digital, none is trained: it has no rpu operators, of any version."""
    digital = ["--inference", "--set", "layer.*.analog=false"]
    assert cli("compile", tiny_model, "-t", "ideal", *digital, "-o", "p.onnx").code == 0
    assert DOMAIN not in Program.load("p.onnx").model.opset_imports
