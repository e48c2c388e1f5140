"""Networks from a line: what is built, which weights they begin with, what is refused."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

import rpucc
from rpucc.errors import UsageError
from rpucc.models import build, build_cnn, build_layers
from rpucc.models.activations import ACTIVATIONS
from rpucc.models.initial import INITS
from rpucc.models.specification import MAX_WEIGHTS, parse, shapes

LENET = "c16k5 p2 c32k5 p2 f128 f10"


def weights(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}


def answers(model: onnx.ModelProto, batch: int = 2) -> np.ndarray:
    """What the model, checked, computes of random samples."""
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (entry,), (out,) = session.get_inputs(), session.get_outputs()
    x = np.random.default_rng(0).random((batch, *entry.shape[1:]), np.float32)
    (y,) = session.run(None, {"x": x})
    assert y.shape == (batch, *out.shape[1:])
    return y


@pytest.mark.parametrize("seed", [0, 5])
def test_the_papers_networks_are_the_same_bits(seed):
    assert build_layers("784-256-128-10", seed) == build("mlp", seed)
    assert build_layers((784, 256, 128, 10), seed, init="uniform") == build("mlp", seed)
    lenet, built = build("lenet", seed), build_cnn(LENET, seed, activation="tanh")
    lenet.graph.name = built.graph.name
    assert built == lenet


def test_items_and_shapes():
    items = parse("c16k5s2p2, p3s2 c32k3g4 a2 g f10")
    assert [(i.kind, i.count, i.kernel, i.stride, i.padding, i.groups) for i in items] == [
        ("c", 16, 5, 2, 2, 1),
        ("p", 3, 1, 2, 0, 1),
        ("c", 32, 3, 1, 0, 4),
        ("a", 2, 1, 2, 0, 1),
        ("g", 0, 1, 1, 0, 1),
        ("f", 10, 1, 1, 0, 1),
    ]
    sizes = [(3, 32, 32), (16, 16, 16), (16, 7, 7), (32, 5, 5), (32, 2, 2), (32,), (10,)]
    assert shapes(items, (3, 32, 32)) == sizes
    model = build_cnn("c16k5s2p2 p3s2 c32k3g4 a2 g f10", input_shape=(3, 32, 32))
    names = ["conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "pool3", "pool3_flat", "fc1"]
    assert [node.name for node in model.graph.node] == names
    assert answers(model).shape == (2, 10)


@pytest.mark.parametrize(
    ("spec", "shape", "output"),
    [
        ("c4k3 p2 f3", (2, 20), (3,)),
        ("c4k2 p2 c4k1 g f3", (1, 6, 6, 6), (3,)),
        ("c4k3p1 c2k1", (1, 5, 7), (2, 5, 7)),
        ("c4k3 g", (1, 5, 7), (4,)),
        ("f7 f3", (9,), (3,)),
        ("f3", (2, 4), (3,)),
    ],
)
def test_signals_volumes_pixels_and_vectors(spec, shape, output):
    assert answers(build_cnn(spec, input_shape=shape)).shape == (2, *output)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_trains(name):
    """The gradient of each is known, and nothing is verified away."""
    model = build_cnn("c2k3 p2 f3", input_shape=(1, 6, 6), activation=name)
    assert np.ptp(answers(model)) > 0
    program = rpucc.compile(model, "ideal", verify=True)
    rng = np.random.default_rng(0)
    x, y = 0.3 * rng.random((60, 1, 6, 6), np.float32), np.arange(60) % 3
    for image, label in zip(x, y, strict=True):
        image[:, 2 * label : 2 * label + 2] += 0.7  # the class is the bright pair of rows
    history = rpucc.Trainer(rpucc.Machine(program)).fit((x, y), epochs=8, batch_size=2, lr=0.2)
    assert history[-1].train_loss < 0.8 * history[0].train_loss


def test_activations_are_what_they_are_called():
    x = np.linspace(-8, 8, 33, dtype=np.float32)
    sigmoid = 1 / (1 + np.exp(-x))
    expected = {"relu6": np.clip(x, 0, 6), "silu": x * sigmoid, "none": x, "tanh": np.tanh(x)}
    for name, values in expected.items():
        model = build_layers("1-1-1", activation=name)
        for tensor in model.graph.initializer:
            if tensor.name in ("fc1.weight", "fc2.weight", "fc1.bias", "fc2.bias"):
                array = np.full(tensor.dims, tensor.name.endswith("weight"), np.float32)
                tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
        session = onnxruntime.InferenceSession(model.SerializeToString())
        (y,) = session.run(None, {"x": x[:, None]})
        np.testing.assert_allclose(y[:, 0], values, atol=1e-6)


VARIANCES = {"he": 2 / 800, "glorot": 2 / (800 + 1600), "lecun": 1 / 800, "uniform": 1 / (3 * 801)}


@pytest.mark.parametrize("init", INITS)
def test_initial_weights_have_the_variance_of_their_name(init):
    model = build_cnn("c64k5p2 f10", 3, input_shape=(32, 8, 8), init=init)
    weight, bias = (weights(model)[f"conv1.{kind}"] for kind in ("weight", "bias"))
    assert weight.dtype == bias.dtype == np.float32
    assert weight.shape == (64, 32, 5, 5)
    assert weight.var() == pytest.approx(VARIANCES[init], rel=0.02)
    assert np.abs(weight).max() <= (3 * VARIANCES[init]) ** 0.5 * (1 + 1e-6)
    assert abs(weight.mean()) < 0.01 * np.abs(weight).max()
    assert np.any(bias) == (init == "uniform")
    again = build_cnn("c64k5p2 f10", 3, input_shape=(32, 8, 8), init=init)
    assert again.SerializeToString() == model.SerializeToString()
    other = build_cnn("c64k5p2 f10", 4, input_shape=(32, 8, 8), init=init)
    assert np.any(weights(other)["conv1.weight"] != weight)


def test_the_activation_says_which_weights_there_are_without_a_name():
    for name, row in ACTIVATIONS.items():
        named = build_layers("9-4-3", activation=name, init=row.init)
        assert build_layers("9-4-3", activation=name) == named


def test_glorot_counts_the_outputs_of_a_group():
    wide = weights(build_cnn("c64k3g8 f2", input_shape=(64, 5, 5), init="glorot"))["conv1.weight"]
    assert wide.shape == (64, 8, 3, 3)
    assert wide.var() == pytest.approx(2 / (72 + 72), rel=0.03)


def test_batch_norms_are_before_activations_and_take_the_place_of_biases():
    model = build_cnn("c8k3 p2 c8k3 g f16 f4", batch_norm=True)
    types = [node.op_type for node in model.graph.node]
    block = ["Conv", "BatchNormalization", "Relu"]
    pool, tail = ["MaxPool"], ["GlobalAveragePool", "Flatten", "Gemm", "BatchNormalization", "Relu"]
    assert types == [*block, *pool, *block, *tail, "Gemm"]
    found = weights(model)
    assert [name for name in found if name.endswith(".bias")] == [
        *("conv1.norm.bias", "conv2.norm.bias", "fc1.norm.bias", "fc2.bias")
    ]
    assert np.all(found["conv1.norm.var"] == 1)
    assert answers(model).shape == (2, 4)
    assert rpucc.compile(model, "ideal", verify=True).verified


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("", "no layer with weights"),
        ("p2", "no layer with weights"),
        ("c16k5 q2 f10", "'q2' (item 2): not understood"),
        ("c16k5 p f10", "'p' (item 2): not understood"),
        ("c16k5 g2 f10", "'g2' (item 2): not understood"),
        ("c16x5 f10", "'c16x5' (item 1): not understood"),
        ("c１６k5 f10", "'c１６k5' (item 1): not understood"),
        ("c16 f10", "'c16' (item 1): a convolution needs its kernel, as in c16k3"),
        ("f10k3", "'f10k3' (item 1): 'k' means nothing here"),
        ("c16k3k5 f10", "'c16k3k5' (item 1): an option is there twice"),
        ("c16k0 f10", "'c16k0' (item 1): sizes are from 1"),
        ("c0k3 f10", "'c0k3' (item 1): sizes are from 1"),
        ("c4k3 p2s0 f2", "'p2s0' (item 2): sizes are from 1"),
        ("f" + "9" * 5000, "sizes are from 1"),
        ("x" * 5000, "not understood"),
        ("c16k5 c32k25 f10", "'c32k25' (item 2): a window of 25 does not fit into 24 × 24"),
        ("c16k31p1 f10", "a window of 31 does not fit into 28 × 28 with 1 around"),
        ("c16k5 f10 p2", "'p2' (item 3): there is no image any more (10 numbers a sample)"),
        ("c16k5g3 f10", "3 groups divide neither or only one of 1 channels that come in and 16"),
        ("f1000000 f1000", f"an ONNX file holds {MAX_WEIGHTS:,}"),
    ],
)
def test_a_specification_that_is_none_is_refused_in_a_line(spec, said):
    with pytest.raises(UsageError) as caught:
        build_cnn(spec)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: build_layers("784"), "as 95-16-6"),
        (lambda: build_layers("784--10"), "as 95-16-6"),
        (lambda: build_layers("a-b"), "as 95-16-6"),
        (lambda: build_layers((784, 0, 10)), "sizes are from 1"),
        (lambda: build_layers("95-6", input_shape=(1, 28, 28)), "95 inputs, but the input shape"),
        (lambda: build_layers("95-6", activation="rele"), "activation 'rele' is unknown; there"),
        (lambda: build_layers("95-6", init="xavier"), "init 'xavier' is unknown; there are uni"),
        (lambda: build_cnn("f10", input_shape=()), "input shape ()"),
        (lambda: build_cnn("f10", input_shape=(0, 3)), "input shape (0, 3)"),
        (lambda: build_cnn("c3k1", input_shape=(9,)), "the input is a vector (9 numbers"),
    ],
)
def test_sizes_and_names_that_cannot_be_are_refused_in_a_line(make, said):
    with pytest.raises(UsageError) as caught:
        make()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
