"""A network of Tiki-Taka cells through the command line, from the model to a continued run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as rt
import pytest

from rpucc.program import Program
from rpucc.runtime.checkpoint import load_checkpoint

KEYS = {
    "cell.model": "tiki-taka", "cell.transfer_every": 7, "cell.transfer_by_minibatch": "false",
    "cell.transfer_lr": 3, "cell.gamma": 0.2, "cell.fast.dw_min": 0.002, "calibration.pairs": 50,
}  # fmt: skip
SETTINGS = [word for key, value in KEYS.items() for word in ("--set", f"{key}={value}")]


def state(run: str) -> dict[str, np.ndarray]:
    program = Program.load(Path(run, "program.rpu.onnx"))
    return load_checkpoint(Path(run, "checkpoint.safetensors"), program).state()


@pytest.fixture
def options(tiny_model, tiny_data) -> list[object]:
    return [tiny_model, "-t", "soft-bounds", *SETTINGS, "--data", tiny_data, "--batch-size", 4]


@pytest.mark.parametrize("steps", [3, 150])
def test_resuming_after_ctrl_c_gives_the_same_bits(cli, options, interrupted, monkeypatch, steps):
    """In the middle of a period: of 7 vectors, in minibatches of 4, and after the last sample."""
    monkeypatch.setattr("rpucc.runtime.training.PROGRESS_SECONDS", 0.0)
    with interrupted(steps):
        assert cli("train", *options, "-o", "cut").code == 130
    assert any(int(array) % 7 for name, array in state("cut").items() if name.endswith(".count"))
    assert cli("train", "cut", "--resume").code == 0
    assert cli("train", *options, "-o", "whole").code == 0
    one, other = (Path(run, "checkpoint.safetensors").read_bytes() for run in ("cut", "whole"))
    assert one == other


def test_a_run_is_evaluated_continued_inspected_and_compared(cli, options, tiny_data):
    trained = cli("train", *options, "--epochs", 2, "-o", "run")
    assert trained.code == 0, trained.stderr
    for command in (("eval", "run"), ("run", "run", tiny_data), ("inspect", "run")):
        outcome = cli(*command)
        assert outcome.code == 0, (command, outcome.stderr)
    assert "tiki-taka" in cli("inspect", "run").stdout

    further = cli("train", "--from", "run", "-o", "second", "--lr", 1e-9, "--epochs", 1)
    assert further.code == 0, further.stderr
    before, after = state("run"), state("second")
    for name, array in before.items():
        if name.endswith(".count"):
            assert after[name] > array  # periods go on
        else:
            np.testing.assert_array_equal(after[name], array, name)

    assert cli("compile", options[0], "-t", "soft-bounds", "-o", "plain.onnx").code == 0
    differences = cli("diff", "plain.onnx", "run", "--json")
    assert differences.code == 0, differences.stderr
    found = json.loads(differences.stdout)
    assert not found["same"]
    assert found["layers"]["classes"]["cell"] == ["plain", "tiki-taka"]
    assert found["layers"]["classes"]["planes"] == [["weight"], ["slow", "fast"]]


def test_every_stage_of_a_program_with_cells_runs_on_onnxruntime(cli, tiny_model):
    """Stock onnxruntime runs each dump, the last with the algorithm in its functions."""
    dumped = cli("compile", tiny_model, "-t", "soft-bounds", *SETTINGS, "--dump-passes", "stages")
    assert dumped.code == 0, dumped.stderr
    stages = sorted(Path("stages").glob("*.onnx"))
    with_cells = 0
    for stage in stages:
        session = rt.InferenceSession(stage.read_bytes(), providers=["CPUExecutionProvider"])
        feeds = {}
        for value in session.get_inputs():
            shape = [d if isinstance(d, int) else 2 for d in value.shape]
            kind = np.int64 if "int64" in value.type else np.float32
            feeds[value.name] = np.full(shape, 0.1).astype(kind)
        session.run(None, feeds)
        with_cells += any(n.op_type == "TikiTakaUpdate" for n in onnx.load(stage).graph.node)
    assert len(stages) > 10
    assert with_cells >= 2
