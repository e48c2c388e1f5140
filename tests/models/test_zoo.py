"""The model zoo: names, shapes, initial weights, files."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from rpucc.errors import ModelError, OutputError
from rpucc.models import MODELS, build, write


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize("name", MODELS)
def test_every_model_runs_at_any_batch_size(name):
    model = build(name)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert tuple(session.get_inputs()[0].shape) == MODELS[name].input_shape
    for batch in (1, 3):
        x = np.random.default_rng(0).random((batch, 1, 28, 28), np.float32)
        (logits,) = session.run(["logits"], {"x": x})
        assert logits.shape == (batch, 10)
        assert np.ptp(logits) > 0
    assert {p.key: p.value for p in model.metadata_props} == {"rpucc.input_range": "0 1"}
    assert model.opset_import[0].version == 21
    assert model.ir_version == 10
    assert model.producer_name == "rpucc"


def test_lenet_is_the_papers_network():
    model = build("lenet")
    names = ["conv1", "tanh1", "pool1", "conv2", "tanh2", "pool2", "flatten", "fc1", "tanh3", "fc2"]
    assert [node.name for node in model.graph.node] == names
    shapes = {name: array.shape for name, array in weights(model).items()}
    assert shapes == {
        "conv1.weight": (16, 1, 5, 5),
        "conv1.bias": (16,),
        "conv2.weight": (32, 16, 5, 5),
        "conv2.bias": (32,),
        "fc1.weight": (128, 512),
        "fc1.bias": (128,),
        "fc2.weight": (10, 128),
        "fc2.bias": (10,),
    }
    assert sum(array.size for array in weights(model).values()) == 80_202


def test_lenet_computes_what_numpy_computes():
    model = build("lenet", seed=3)
    w = weights(model)
    x = np.random.default_rng(1).random((2, 1, 28, 28), np.float32)

    def conv_block(y, weight, bias):
        view = np.lib.stride_tricks.sliding_window_view(y, (5, 5), axis=(2, 3))
        y = np.tanh(np.einsum("nchwij,rcij->nrhw", view, weight) + bias[:, None, None])
        n, r, h, v = y.shape
        return y.reshape(n, r, h // 2, 2, v // 2, 2).max((3, 5))

    y = conv_block(x, w["conv1.weight"], w["conv1.bias"])
    y = conv_block(y, w["conv2.weight"], w["conv2.bias"]).reshape(2, 512)
    y = np.tanh(y @ w["fc1.weight"].T + w["fc1.bias"])
    expected = y @ w["fc2.weight"].T + w["fc2.bias"]
    (logits,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(logits, expected, atol=1e-5)


def test_mlp_has_sigmoid_hidden_units():
    model = build("mlp")
    assert [n.op_type for n in model.graph.node].count("Sigmoid") == 2
    assert weights(model)["fc1.weight"].shape == (256, 784)
    assert weights(model)["fc3.bias"].shape == (10,)


@pytest.mark.parametrize("name", MODELS)
def test_initial_weights_fill_their_range_and_follow_the_seed(name):
    arrays = weights(build(name, seed=5))
    for key, array in arrays.items():
        assert array.dtype == np.float32
        weight = arrays[key.replace(".bias", ".weight")]
        limit = 1 / np.sqrt(weight[0].size + 1)
        assert np.abs(array).max() <= limit
        if array.size > 100:
            assert np.abs(array).max() > 0.95 * limit
            assert abs(array.mean()) < 0.2 * limit
    assert build(name, seed=5).SerializeToString() == build(name, seed=5).SerializeToString()
    assert build(name, seed=5).SerializeToString() != build(name, seed=6).SerializeToString()


def test_write_makes_a_whole_file_and_leaves_nothing_else(tmp_path: Path):
    path = write("lenet", tmp_path / "lenet.onnx", seed=2)
    assert onnx.load(path) == build("lenet", seed=2)
    write("mlp", path)
    assert onnx.load(path) == build("mlp")
    assert [p.name for p in tmp_path.iterdir()] == ["lenet.onnx"]


def test_an_unknown_name_is_one_line_with_a_hint():
    with pytest.raises(ModelError) as error:
        build("lenett")
    assert str(error.value) == (
        "no model 'lenett' in the zoo (it has lenet, mlp); did you mean 'lenet'?"
    )


@pytest.mark.parametrize("kind", ["no folder", "a folder", "a file as folder"])
def test_a_path_that_cannot_be_written_is_an_output_error(tmp_path: Path, kind: str):
    (tmp_path / "file").write_text("keep")
    path = {
        "no folder": tmp_path / "missing" / "m.onnx",
        "a folder": tmp_path,
        "a file as folder": tmp_path / "file" / "m.onnx",
    }[kind]
    with pytest.raises(OutputError) as error:
        write("mlp", path)
    assert str(error.value).startswith(f"{path}: cannot write the model 'mlp': ")
    assert "\n" not in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert [p.name for p in tmp_path.parent.iterdir() if p.name.endswith(".tmp")] == []


def test_importing_the_package_does_not_load_onnx():
    code = "import sys, rpucc.models; sys.exit('onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
