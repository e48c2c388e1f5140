"""The model zoo: names, shapes, initial weights, files."""

from __future__ import annotations

import math
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

SMALL = ["lenet", "mlp"]
"""The networks of the papers: weights uniform in ±1/√C, biases drawn like them."""

LARGE = [name for name in MODELS if MODELS[name].weights > 20_000_000]
"""Hundreds of megabytes each: run only by hand."""


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] if n in LARGE else []) for n in MODELS],
)
def test_every_model_runs_at_any_batch_size(name):
    check_model(name, build(name))


def check_model(name: str, model: onnx.ModelProto) -> None:
    """The row of the table is right, the file is sound, and its values are O(1)."""
    row = MODELS[name]
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props} == {
        "rpucc.input_range": "0 1",
        "rpucc.initial_weights": "1",
    }
    assert model.opset_import[0].version == 21
    assert model.ir_version == 10
    assert model.producer_name == "rpucc"
    trained = [k for k in weights(model) if k.rpartition(".")[2] in ("weight", "bias", "scale")]
    assert sum(weights(model)[k].size for k in trained) == row.weights
    names = [output for node in model.graph.node for output in node.output]
    model.graph.output.extend(onnx.ValueInfoProto(name=n) for n in names if n != "logits")
    session = onnxruntime.InferenceSession(model.SerializeToString())
    assert tuple(session.get_inputs()[0].shape) == row.input_shape
    for batch in (1, 2):
        x = np.random.default_rng(0).random((batch, *row.input_shape[1:]), np.float32)
        logits, *values = session.run(None, {"x": x})
        assert logits.shape == (batch, *row.output_shape[1:])
        assert np.ptp(logits) > 0
        for value in (logits, *values):
            assert 0.02 < np.sqrt(np.mean(np.square(value))) < 5


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


@pytest.mark.parametrize("name", SMALL)
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


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2-cifar", "unet"])
def test_the_seed_fixes_the_weights_of_large_models(name):
    first = build(name, seed=5).SerializeToString()
    assert first == build(name, seed=5).SerializeToString()
    assert first != build(name, seed=6).SerializeToString()


BATCH_NORMS = {
    "resnet18": 20,
    "resnet18-imagenet": 20,
    "mobilenet-v2": 52,
    "mobilenet-v2-cifar": 52,
}


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_batch_norms_are_those_of_a_network_that_has_seen_nothing(name):
    """As torch exports a fresh network, but for the scale at the end of residual branches."""
    model = build(name)
    arrays = weights(model)
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    convolutions = [node.output[0] for node in model.graph.node if node.op_type == "Conv"]
    assert [node.input[0] for node in norms] == convolutions
    assert len(norms) == BATCH_NORMS[name]
    scales = set()
    for node in norms:
        assert not node.attribute  # ONNX's epsilon 1e-5 and momentum 0.9, which torch calls 0.1
        scale, bias, mean, variance = (arrays[key] for key in node.input[1:])
        assert not bias.any()
        assert not mean.any()
        assert np.all(variance == 1)
        scales |= set(scale.tolist())
    branch = np.float32(8**-0.5 if "resnet" in name else 0.5**0.5)
    assert scales == {1.0, float(branch)}


def matrices(model: onnx.ModelProto) -> list[tuple[int, int]]:
    """[R, C] of every layer that has a weight, in the order of the file."""
    found = [t.dims for t in model.graph.initializer if t.name.endswith(".weight")]
    return [(dims[0], math.prod(dims[1:])) for dims in found]


def positions(model: onnx.ModelProto) -> list[int]:
    """Outputs a channel of every convolution and dense layer: its reads a sample."""
    inferred = onnx.shape_inference.infer_shapes(model)
    infos = {v.name: v.type.tensor_type.shape.dim for v in inferred.graph.value_info}
    layers = [n for n in model.graph.node if n.op_type in ("Conv", "Gemm")]
    return [math.prod(d.dim_value for d in infos.get(n.output[0], [])[2:]) for n in layers]


def test_alexnet_is_the_papers_table():
    """physics.md, section 7: the matrices and the reads an image."""
    model = build("alexnet")
    assert matrices(model) == [
        (96, 363),
        (256, 2400),
        (384, 2304),
        (384, 3456),
        (256, 3456),
        (4096, 9216),
        (4096, 4096),
        (1000, 4096),
    ]
    assert positions(model) == [3025, 729, 169, 169, 169, 1, 1, 1]


def test_resnet18_has_the_shapes_of_cifar():
    model = build("resnet18")
    sides = [round(p**0.5) for p in positions(model)]
    assert sides == [32] * 5 + [16] * 5 + [8] * 5 + [4] * 5 + [1]
    assert matrices(model)[:2] == [(64, 27), (64, 576)]
    assert matrices(model)[-1] == (10, 512)


@pytest.mark.parametrize(("name", "last"), [("mobilenet-v2", 7), ("mobilenet-v2-cifar", 4)])
def test_mobilenet_filters_each_channel_alone(name, last):
    model = build(name)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    groups = [onnx.helper.get_node_attr_value(node, "group") for node in convolutions]
    assert len(convolutions) == 52
    assert [g for g in groups if g > 1] == [
        *(32, 96, 144, 144, 192, 192, 192, 384, 384, 384, 384),
        *(576, 576, 576, 960, 960, 960),
    ]
    assert positions(model)[-2] == last**2


def test_unet_joins_what_it_skipped():
    model = build("unet")
    types = [node.op_type for node in model.graph.node]
    assert (types.count("Conv"), types.count("ConvTranspose"), types.count("Concat")) == (11, 2, 2)


def test_resnet18_takes_its_sizes_as_parameters():
    from rpucc.models.resnet import build_resnet18

    model = build_resnet18(size=16, width=4, classes=3)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (logits,) = session.run(None, {"x": np.ones((2, 3, 16, 16), np.float32)})
    assert logits.shape == (2, 3)


def test_write_makes_a_whole_file_and_leaves_nothing_else(tmp_path: Path):
    path = write("lenet", tmp_path / "lenet.onnx", seed=2)
    assert onnx.load(path) == build("lenet", seed=2)
    write("mlp", path)
    assert onnx.load(path) == build("mlp")
    assert [p.name for p in tmp_path.iterdir()] == ["lenet.onnx"]


def test_an_unknown_name_is_one_line_with_a_hint():
    with pytest.raises(ModelError) as error:
        build("lenett")
    names = ", ".join(MODELS)
    assert str(error.value) == (
        f"no model 'lenett' in the zoo (it has {names}); did you mean 'lenet'?"
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


@pytest.mark.parametrize("name", ["resnet-50", "lenett", "vgg19.0"])
def test_a_mistyped_name_lists_the_zoo(name: str, tmp_path: Path, monkeypatch) -> None:
    import rpucc

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=r"no model of the zoo .*did you mean"):
        rpucc.compile(name)
    for path in (f"{name}.onnx", f"models/{name}"):
        with pytest.raises(ModelError, match=r"no such file$"):
            rpucc.compile(path)
