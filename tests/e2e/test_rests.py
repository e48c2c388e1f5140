"""What killed writers left in a run folder or beside an output is gone after the next start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def dead() -> int:
    """The number of a process that is over."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(folder: Path, dead: int, *names: str) -> None:
    for name in names:
        (folder / f".{name}.{dead}.tmp").write_bytes(b"half")
    rest = folder / f".program.rpu.onnx.{dead}.tmp"
    rest.mkdir()
    (rest / "program.rpu.onnx").write_bytes(b"half")


@pytest.mark.parametrize("how", ["--resume", "--force"])
def test_of_a_training(how, cli, tiny_model, tiny_data, workplace, dead):
    train = ["train", tiny_model, "--data", tiny_data, "-o", "run"]
    assert cli(*train).code == 0
    whole = set(os.listdir("run"))
    leave(workplace / "run", dead, "checkpoint.safetensors", "metrics.csv", "run.json")
    living = f".run.json.{os.getppid()}.tmp"
    (workplace / "run" / living).write_bytes(b"another writer's")
    outcome = cli(*train, "--epochs", 2, how)
    assert outcome.code == 0, outcome.stderr
    assert set(os.listdir("run")) == {*whole, living}


def test_of_an_output(cli, tiny_model, workplace, dead):
    leave(workplace, dead)
    assert cli("compile", tiny_model, "-o", "tiny.rpu.onnx").code == 0
    assert (workplace / f".program.rpu.onnx.{dead}.tmp").exists(), "another output's stays"
    assert cli("compile", tiny_model, "-o", "program.rpu.onnx").code == 0
    assert not (workplace / f".program.rpu.onnx.{dead}.tmp").exists()
