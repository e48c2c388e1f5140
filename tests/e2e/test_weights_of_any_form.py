"""What users' files do with weights: Einsums, weights on the left, one a channel, tied ones."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from .conftest import Cli

CASES = Path(__file__).parents[3] / "shared" / "cases"
NAMES = {"einsum_attention": 5, "batched_matmul": 2, "weight_first": 2, "siamese": 2}
"""Case to the matrices that it has."""


@pytest.fixture
def case(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a case, whose files lie in the working folder."""
    name: str = request.param
    script = CASES / f"make_{name}.py"
    if not script.exists():
        pytest.skip(f"{script} is not there")
    monkeypatch.syspath_prepend(str(CASES))
    monkeypatch.delitem(sys.modules, "case", raising=False)
    runpy.run_path(str(script))
    return name


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_it_runs_as_the_file_says(cli: Cli, case: str) -> None:
    model = onnx.load(f"{case}.onnx")
    shape = [dim.dim_value or 5 for dim in model.graph.input[0].type.tensor_type.shape.dim]
    x = np.random.default_rng(0).random(shape).astype(np.float32)
    np.save("in.npy", x)
    found = cli("run", f"{case}.onnx", "in.npy", "-t", "ideal", "-o", "out.npy")
    assert found.code == 0, found.stderr
    session = onnxruntime.InferenceSession(f"{case}.onnx")
    (expected,) = session.run(None, {session.get_inputs()[0].name: x})
    np.testing.assert_allclose(np.load("out.npy"), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_all_its_weights_lie_on_arrays(cli: Cli, case: str) -> None:
    found = cli("check", f"{case}.onnx")
    assert found.code == 0, found.stderr
    assert not re.search("no (constant|matrix of) weights", found.stdout)
    for training in ([], ["--inference"]):
        found = cli("compile", f"{case}.onnx", "-t", "ideal", *training)
        assert found.code == 0, found.stderr
        assert len(re.findall("1 × 1 +small", found.stdout)) == NAMES[case]
        assert re.search(r"weights +[\d,]+ on arrays \(", found.stdout)
        assert "verified" in found.stdout


@pytest.mark.parametrize("case", ["batched_matmul"], indirect=True)
def test_each_channel_has_its_own_matrix(cli: Cli, case: str) -> None:
    assert "4 of 7 × 6" in cli("compile", f"{case}.onnx").stdout
    digital = cli("compile", f"{case}.onnx", "--set", "layer.experts.analog=false").stdout
    assert "4 of 7 × 6" in digital
    assert "35 on arrays, 168 digital (" in digital


@pytest.mark.parametrize("case", ["siamese"], indirect=True)
def test_a_siamese_network_trains(cli: Cli, case: str) -> None:
    found = cli("train", "siamese.onnx", "--data", "siamese.npz", "--epochs", 1, "-o", "run")
    assert found.code == 0, found.stderr
    assert "8 × " in cli("inspect", "run", "--layer", "conv_b").stdout
    compiled = cli("compile", "siamese.onnx").stdout
    assert "2 places of the model share this matrix and its arrays: conv_a, conv_b" in compiled
