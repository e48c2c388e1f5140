"""`rpucc demo`, the first thing that anyone runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rpucc.runtime.data import Dataset, load_dataset


@pytest.fixture
def few_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of the built-in data: the demo's own 6,000 digits take some seconds."""
    full = load_dataset("mnist-mini")
    part = Dataset(
        "few", full.x_train[:300], full.y_train[:300], full.x_test[:50], full.y_test[:50]
    )
    monkeypatch.setattr("rpucc.runtime.data.load_dataset", lambda *_, **__: part)


@pytest.mark.usefixtures("few_digits")
def test_demo_leaves_nothing(cli, files):
    outcome = cli("demo")
    assert outcome.code == 0, outcome.stderr
    for text in ("conv1", "fc2", "576", "1/1", "50 wrong", "Try next"):
        assert text in outcome.stdout
    assert max(map(len, outcome.stdout.splitlines())) <= 100
    assert files() == {}


@pytest.mark.usefixtures("few_digits")
def test_demo_keeps_a_run_folder(cli):
    assert cli("demo", "-o", "kept").code == 0
    assert sorted(p.name for p in Path("kept").iterdir()) == [
        "checkpoint.safetensors",
        "events.jsonl",
        "layers.jsonl",
        "metrics.csv",
        "metrics.jsonl",
        "program.rpu.onnx",
        "run.json",
        "target.toml",
    ]
    resumed = cli("train", "kept", "--resume", "--epochs", 2)
    assert resumed.code == 0, resumed.stderr
    assert cli("eval", "kept").code == 0


def test_demo_as_a_user_runs_it(command):
    """The whole of it, below 10 % test error."""
    process = command("demo")
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert "\x1b" not in stdout + stderr
    error = re.search(r"error +(\d+\.\d+) % \((\d+) of 1,000 wrong\)", stdout)
    assert error is not None
    assert float(error[1]) < 10
