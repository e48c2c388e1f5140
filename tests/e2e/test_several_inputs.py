"""A network with two inputs through the command line: trained, evaluated, run, looked at."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from ..hostile.networks import network


@pytest.fixture
def pairs(workplace: Path) -> Path:
    """Two images that are the same, inverse, or have nothing to do with each other."""
    rng = np.random.default_rng(0)
    onnx.save(network("siamese"), workplace / "siamese.onnx")
    y = rng.integers(0, 3, 400)
    x = rng.random((400, 2, 5, 5)).astype(np.float32)
    other = rng.random((400, 2, 5, 5)).astype(np.float32)
    which = y[:, None, None, None]
    x2 = np.where(which == 0, x, np.where(which == 1, 1 - x, other))
    parts = {"x_train": x[:360], "x2_train": x2[:360], "y_train": y[:360]}
    np.savez(workplace / "pairs.npz", **parts, x_test=x[360:], x2_test=x2[360:], y_test=y[360:])
    return workplace / "pairs.npz"


def test_from_training_to_its_page(cli, pairs):
    train = ("train", "siamese.onnx", "-t", "rpu-managed", "--data", pairs, "--lr", "0.03")
    whole = cli(*train, "--epochs", "4", "-o", "run")
    assert whole.code == 0, whole.stderr
    assert "pairs.npz: 360 samples to train, 40 to test" in whole.stderr
    parts = cli(*train, "--epochs", "2", "-o", "parts")
    assert parts.code == 0
    assert cli("train", "parts", "--resume", "--epochs", "4").code == 0
    run, again = (Path(folder, "metrics.csv").read_text() for folder in ("run", "parts"))
    assert run == again
    tested = json.loads(cli("eval", "run", "--json").stdout)
    assert tested["samples"] == 40
    last = run.splitlines()[-1].split(",")
    assert f"{tested['error']:.6f}" == f"{float(last[5]):.6f}"
    assert tested["error"] < 0.6
    found = cli("run", "run", pairs, "-o", "out.npz", "--json")
    assert found.code == 0, found.stderr
    assert json.loads(found.stdout)["error"] == tested["error"]
    with np.load("out.npz") as arrays:
        assert arrays["y"].shape == (40, 3)
    title = cli("inspect", "run").stdout
    assert "inputs x 2 × 5 × 5, x2 2 × 5 × 5 in 0 to 1" in " ".join(title.split())
    assert cli("inspect", "run", "--html", "page.html").code == 0
    page = Path("page.html").read_text(encoding="utf-8")
    assert "inputs x 2 × 5 × 5, x2 2 × 5 × 5 in 0 to 1" in page
    assert ">x2 2 × 5 × 5</" in page  # of the drawing


def test_a_compiled_program_says_its_inputs_and_diff_compares_them(cli, pairs):
    made = cli("compile", "siamese.onnx", "--verify", "--json", "-o", "two.rpu.onnx")
    assert made.code == 0, made.stderr
    data = json.loads(made.stdout)
    assert data["input_shape"] == {"x": [2, 5, 5], "x2": [2, 5, 5]}
    assert data["verified"]
    onnx.save(network("conv"), "one.onnx")
    assert cli("compile", "one.onnx", "-o", "one.rpu.onnx").code == 0
    found = cli("diff", "one.rpu.onnx", "two.rpu.onnx").stdout
    assert "x 2 × 5 × 5, x2 2 × 5 × 5" in found


def test_data_for_one_input_are_refused_before_anything_is_written(cli, files, pairs):
    before = files()
    for data, why in (
        ("mnist-mini", "x_train is one array, but the model has the inputs x, x2: give an array"),
        (
            "plain.npz",
            "holds the arrays 'x', 'y'; the model has the inputs x, x2: expected x_train, x2_t",
        ),
    ):
        if data.endswith("npz"):
            np.savez("plain.npz", x=np.ones((9, 2, 5, 5)), y=np.arange(9) % 3)
            before = files()
        done = cli("train", "siamese.onnx", "--data", data, "-o", "no")
        assert done.code == 1
        assert why in done.stderr.splitlines()[-1]
    run = cli("run", "siamese.onnx", "plain.npz")
    assert run.code == 1
    assert "expected an array for each, of its name or its name with _test" in run.stderr
    assert files() == before
