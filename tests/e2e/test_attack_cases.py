"""The attacks that once worked, as they were found: shared/cases/attacks makes the files.

Each kind has tests of its own beside these: `test_outputs.py`, `test_run_folder_attacked.py`,
`test_recorded.py`, `tests/hostile/`, `tests/passes/test_impossible_sizes.py`,
`tests/passes/test_infinite_bias.py`, `tests/runtime/test_rates.py`,
`tests/runtime/test_checkpoint.py` and `tests/runtime/kernels/test_stamps.py`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

CASES = Path(__file__).parents[3] / "shared/cases/attacks"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases/attacks is not there")


@pytest.fixture
def make():
    """Let a script of the folder write its files here."""

    def run(name: str, *arguments: str) -> None:
        words = [sys.executable, CASES / f"make_{name}.py", *arguments]
        subprocess.run(words, check=True, capture_output=True)

    run("tiny")
    return run


@pytest.fixture
def refused(cli):
    """Hold that a command ends with one line that has this text."""

    def check(*words: object, text: str, code: int = 1) -> None:
        outcome = cli(*words)
        assert outcome.code == code, outcome.stdout + outcome.stderr
        assert "internal error" not in outcome.stderr
        errors = [line for line in outcome.stderr.splitlines() if line.startswith("Error: ")]
        if words[0] == "check" and not errors:  # says it below its table
            assert f"refused  {text}" in outcome.stdout
        else:
            assert len(errors) == 1, outcome.stderr
            assert text in errors[0]

    return check


TRAIN = ("train", "tiny.onnx", "--data", "tiny.npz")


@pytest.fixture
def run(make, cli):
    """A run folder of the tiny network."""
    assert cli(*TRAIN, "--epochs", 2, "-o", "run").code == 0


@pytest.mark.parametrize("how", [
    ("-t", "soft-bounds", "--lr", "1e38"), ("-t", "rpu-managed", "--lr", "3e37"),
    ("--lr", "0.01", "--lr-schedule", "2=1e38", "--epochs", "2"), ("--lr", "1e-46"),
    ("-t", "soft-bounds", "--set", "update.lr_scale=1e6", "--lr", "1e32"),
])  # fmt: skip
def test_rates_beyond_float32(make, refused, how):
    refused(*TRAIN, *how, "-o", "r", text="beyond float32")
    assert not Path("r").exists()


@pytest.mark.parametrize("size", ["18446744073709551615", "2000000000"])
def test_batches_beyond_all(make, refused, size):
    refused(*TRAIN, "--batch-size", size, "-o", "r", text="1<=x<=1048576", code=2)


@pytest.mark.parametrize("command", ["check", "compile"])
def test_a_kernel_that_is_larger_than_its_image(make, refused, command):
    make("kernel_larger_than_image")
    name = "kernel_larger_than_image.onnx"
    refused(command, name, text=f"{name}: node 'conv' (Conv): The kernel must fit")


def test_an_infinite_bias(make, cli, refused):
    """In inference it stays digital, so that class 2 never comes; it cannot be trained."""
    make("infinite_bias")
    outcome = cli("run", "infinite_bias.onnx", "infinite_bias.npy", "-o", "scores.npy")
    assert outcome.code == 0, outcome.stderr
    assert (np.load("scores.npy")[:, 2] == -np.inf).all()
    words = ("train", "infinite_bias.onnx", "--data", "infinite_bias.npz", "-t", "ideal")
    refused(*words, "-o", "r", text="-inf")


def test_damaged_checkpoints(run, make, refused):
    make("bad_checkpoints", "run")
    for folder in ("history_type", "last_sample", "far_weight", "flipped_bit"):
        refused("eval", folder, text=f"{folder}/checkpoint.safetensors: ")
        refused("train", folder, "--resume", "--epochs", 3, text="checkpoint.safetensors: ")


def test_damaged_run_json(run, make, refused):
    make("bad_run_json", "run")
    for i in range(1, 10):
        refused("train", f"run_json_{i:02}", "--resume", text=f"run_json_{i:02}/run.json: ")


def test_other_data(run, make, cli, refused):
    make("other_data", "tiny.npz")
    refused("train", "run", "--resume", "--epochs", 3, text="is not what its training was started")
    outcome = cli("eval", "run")
    assert outcome.code == 0
    assert "tiny.npz: is not what run was trained on" in outcome.stderr


def test_odd_models(make, cli, refused):
    make("odd_models")
    assert cli("train", "believed_batch.onnx", "--data", "odd.npz", "-o", "r").code == 0
    for name in ("axes_twice", "not_utf8", "huge_batch"):
        refused("check", f"{name}.onnx", text=f"{name}.onnx")


def test_a_turned_batch(make, refused):
    make("turned_batch")
    refused("compile", "turned_batch.onnx", text="batch")
    words = ("train", "turned_batch.onnx", "--data", "turned_batch.npz")
    refused(*words, "-o", "r", text="batch")


def test_damaged_results(make, cli, refused):
    make("bad_results")
    assert cli("reproduce", "experiment.toml", "-o", "out").code == 0
    make("bad_results", "out")
    refused("reproduce", "experiment.toml", "-o", "out_nan", "--report", text="configuration.json")
    refused("reproduce", "experiment.toml", "-o", "out_seed", text="run.json: seed: found")
