"""`rpucc run` writes every output of a model, or says which way there is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.errors import RpuccError

X = np.random.default_rng(1).random((7, 6)).astype(np.float32)
OUTPUTS = ["scores", "file", "a/class"]


@pytest.fixture
def heads(workplace: Path) -> Path:
    """A trunk with three outputs: scores, another head (named as it pleases), and a class."""
    random = np.random.default_rng(0)
    shapes = {"w": (6, 5), "v": (5, 3), "u": (5, 4)}
    weights = [
        numpy_helper.from_array(random.normal(0, 0.3, shape).astype("f4"), name)
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["h"], "trunk"),
        helper.make_node("Tanh", ["h"], ["t"], "tanh"),
        helper.make_node("Gemm", ["t", "v"], ["scores"], "head"),
        helper.make_node("Gemm", ["t", "u"], ["file"], "boxes"),
        helper.make_node("ArgMax", ["scores"], ["a/class"], "best", axis=1, keepdims=0),
    ]
    graph = helper.make_graph(
        nodes,
        "heads",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 6])],
        [
            helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", 3]),
            helper.make_tensor_value_info("file", TensorProto.FLOAT, ["N", 4]),
            helper.make_tensor_value_info("a/class", TensorProto.INT64, ["N"]),
        ],
        weights,
    )
    opset = [helper.make_opsetid("", 21)]
    path = workplace / "heads.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)
    np.save(workplace / "x.npy", X)
    return path


def stock(path: Path) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return dict(zip(OUTPUTS, session.run(OUTPUTS, {"x": X}), strict=True))


def test_an_archive_gets_all_outputs_by_name(cli, heads):
    outcome = cli("run", heads, "x.npy", "-t", "ideal", "--batch-size", 3, "-o", "o.npz")
    assert outcome.code == 0, outcome.stderr
    assert "wrote o.npz: scores float32 [7, 3], file float32 [7, 4], a/class int64 [7]" in (
        outcome.stderr
    )
    with np.load("o.npz") as found:
        assert list(found) == OUTPUTS
        for name, wanted in stock(heads).items():
            np.testing.assert_allclose(found[name], wanted, atol=1e-5)


def test_a_file_of_one_array_is_refused_before_anything_is_computed(cli, heads, files):
    before = files()
    outcome = cli("run", heads, "x.npy", "-t", "ideal", "-o", "o.npy")
    assert outcome.code == 2
    assert "3 outputs (scores, file, a/class)" in outcome.stderr
    assert "-o o.npz" in outcome.stderr
    assert files() == before


def test_what_is_not_shown_is_named(cli, heads):
    outcome = cli("run", heads, "x.npy", "-t", "ideal")
    assert outcome.code == 0
    assert "the model also has file, a/class: -o FILE.npz writes all" in outcome.stderr
    found = json.loads(cli("run", heads, "x.npy", "-t", "ideal", "--json").stdout)
    assert found["shapes"] == {"scores": [7, 3], "file": [7, 4], "a/class": [7]}
    np.testing.assert_allclose(found["outputs"]["file"], stock(heads)["file"], atol=1e-5)
    assert [row["class"] for row in found["predictions"]] == found["outputs"]["a/class"]


def test_one_output_goes_into_either_file(cli, tiny_model, tiny_data):
    np.save("some.npy", np.load(tiny_data)["x"][:5])
    for name in ("o.npy", "o.npz"):
        assert cli("run", tiny_model, "some.npy", "-t", "ideal", "-o", name).code == 0
    np.testing.assert_array_equal(np.load("o.npz")["y"], np.load("o.npy"))


def test_a_trained_softmax_restates_the_logits(cli, make_model, tiny_data):
    """The program's output is what the loss is about; the probabilities are an output as well."""
    nodes = [
        helper.make_node("Gemm", ["x", "w"], ["z"], "fc"),
        helper.make_node("Softmax", ["z"], ["y"], "softmax"),
    ]
    model = make_model("soft.onnx", nodes, ["N", 12], w=np.eye(12, 3))
    assert cli("train", model, "--data", tiny_data, "-t", "ideal", "-o", "run").code == 0
    np.save("some.npy", np.load(tiny_data)["x"][:5])
    for name in ("o.npy", "o.npz"):
        outcome = cli("run", "run", "some.npy", "-o", name)
        assert outcome.code == 0, outcome.stderr
    with np.load("o.npz") as found:
        np.testing.assert_array_equal(found["z"], np.load("o.npy"))
        np.testing.assert_allclose(found["y"].sum(axis=1), 1, atol=1e-6)
    assert isinstance(json.loads(cli("run", "run", "some.npy", "--json").stdout)["outputs"], list)


def test_outputs_from_python(heads):
    program = rpucc.compile(str(heads), "ideal", training=False)
    trainer = rpucc.Trainer(rpucc.Machine(program))
    assert program.outputs == tuple(OUTPUTS)
    found = trainer.outputs(X)
    np.testing.assert_array_equal(found["scores"], trainer.predict(X))
    assert list(trainer.outputs(X, ["file"])) == ["file"]
    with pytest.raises(RpuccError, match="no output is called 'y'; there are scores, file"):
        trainer.outputs(X, ["y"])
