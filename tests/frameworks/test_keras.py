"""Keras models as ONNX models, and back, with the real Keras on a backend that is installed."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import rpucc

BACKENDS = [name for name in ("torch", "jax", "tensorflow") if find_spec(name) is not None]
if find_spec("keras") is None or not BACKENDS:
    pytest.skip("Keras, or a backend of it, is not installed", allow_module_level=True)
os.environ.setdefault("KERAS_BACKEND", BACKENDS[0])

import keras  # noqa: E402
from keras import layers as L  # noqa: E402, N812

# Keras's backend for torch asks NumPy for arrays in a way that NumPy 2 warns of.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

rng = np.random.default_rng(0)


def sequential(*layers: Any, shape: tuple[int | None, ...], name: str = "net") -> Any:
    return keras.Sequential([keras.Input(shape), *layers], name=name)


def u_net() -> Any:
    x = keras.Input((8, 8, 3))
    y = L.Conv2D(4, 3, padding="same", activation="relu")(x)
    z = L.Add()([y, L.Conv2D(4, 3, padding="same")(y)])
    z = L.Concatenate()([z, y])
    z = L.UpSampling2D(2, interpolation="bilinear")(z)
    z = L.ZeroPadding2D(((1, 2), (0, 1)))(L.UpSampling2D((1, 2))(z))
    return keras.Model(x, L.Conv2D(5, 1)(z))


def siamese() -> Any:
    """Two inputs, a layer that is used twice, a model in the model, several outputs."""
    left, right = keras.Input((4,), name="left"), keras.Input((4,), name="right")
    shared = L.Dense(3)
    difference = L.Subtract()([shared(left), shared(right)])
    inner = sequential(L.Dense(2), L.Dense(2), shape=(3,), name="inner")
    largest = L.Maximum()([shared(left), difference])
    return keras.Model([left, right], [inner(difference), L.Multiply()([largest, difference])])


def by_channel() -> tuple[Any, ...]:
    return (
        L.DepthwiseConv2D(3, depth_multiplier=2, padding="same", strides=2, name="each"),
        L.SeparableConv2D(5, 3, depth_multiplier=2, activation="silu", name="both"),
        L.BatchNormalization(center=False, name="norm"),
        L.GlobalAveragePooling2D(),
        L.Dense(3, activation="tanh", name="fc"),
    )


def on_lines() -> tuple[Any, ...]:
    return (
        L.Conv1D(4, 3, padding="causal", dilation_rate=2),
        L.LeakyReLU(0.3),
        L.MaxPooling1D(2),
        L.UpSampling1D(2),
        L.Conv1DTranspose(3, 2),
        L.SeparableConv1D(4, 3),
        L.DepthwiseConv1D(3),
        L.ZeroPadding1D(1),
        L.GlobalMaxPooling1D(),
    )


def cnn() -> Any:
    """A CNN with batch norms: what most people have."""
    return sequential(
        L.Conv2D(4, 5, strides=2, activation="relu", name="conv"),
        L.BatchNormalization(name="norm"),
        L.Conv2D(8, 3, use_bias=False, padding="same", name="conv_2"),
        L.BatchNormalization(name="norm_2", scale=False),
        L.ReLU(),
        L.AveragePooling2D(2, padding="same"),
        L.Flatten(),
        L.Dropout(0.2),
        L.Dense(10, name="fc"),
        shape=(28, 28, 1),
    )


MODELS = {
    "cnn": cnn,
    "u-net": u_net,
    "siamese": siamese,
    "by channel": lambda: sequential(*by_channel(), shape=(9, 8, 4)),
    "on lines": lambda: sequential(*on_lines(), shape=(12, 3)),
    "groups": lambda: sequential(
        L.Conv2D(6, (3, 2), groups=2, dilation_rate=2, padding="same"),
        L.GlobalMaxPooling2D(keepdims=True),
        L.Reshape((3, 2)),
        L.Permute((2, 1)),
        L.Flatten(),
        L.Dense(3, use_bias=False),
        shape=(9, 8, 4),
    ),
    "volumes": lambda: sequential(
        L.Conv3D(3, 2, padding="same"),
        L.MaxPooling3D(),
        L.ZeroPadding3D(),
        L.Flatten(),
        L.Dense(2),
        shape=(6, 5, 4, 2),
    ),
    "table": lambda: sequential(
        L.Normalization(mean=[1.0] * 7, variance=[2.0] * 7),
        L.Dense(5, activation="gelu"),
        L.LayerNormalization(),
        L.ELU(0.5),
        L.Dense(3, activation="softmax"),
        shape=(7,),
    ),
    "pixels": lambda: sequential(
        L.Rescaling([0.5, 2.0, 3.0], offset=-1),
        L.Conv2D(2, 3, activation="relu6"),
        L.ReLU(max_value=2),
        L.ReLU(negative_slope=0.1),
        L.Softmax(),
        shape=(6, 6, 3),
    ),
    "sequence": lambda: sequential(
        L.Dense(3), L.LayerNormalization(), L.Flatten(), L.Dense(2), shape=(5, 4)
    ),
    **{
        f"transposed {k} by {stride}, {padding}": lambda k=k, stride=stride, padding=padding: (
            sequential(L.Conv2DTranspose(2, k, strides=stride, padding=padding), shape=(5, 4, 3))
        )
        for k, stride, padding in [
            *((3, 2, "same"), (2, 2, "same"), (5, 2, "same"), (2, 3, "same")),
            *((3, 1, "valid"), (4, 2, "valid"), (2, 3, "valid")),
        ]
    },
}
ACTIVATIONS = [
    *("relu", "sigmoid", "tanh", "elu", "selu", "celu", "gelu", "mish", "softplus", "softsign"),
    *("exponential", "leaky_relu", "hard_sigmoid", "hard_silu", "softmax", "log_softmax"),
    *("silu", "relu6", "linear"),
]


def randomised(model: Any) -> Any:
    """The model with weights and statistics as after some training."""
    for variable in model.variables:
        if "seed" not in variable.path:
            low = 0.2 if "variance" in variable.path else -0.5
            variable.assign(rng.uniform(low, 0.5 if low < 0 else 1, variable.shape))
    return model


def first(x: np.ndarray) -> np.ndarray:
    return np.moveaxis(x, -1, 1)


def assert_same(model: Any, converted: onnx.ModelProto) -> None:
    """onnxruntime computes what Keras does, of the same inputs."""
    onnx.checker.check_model(converted, full_check=True)
    session = onnxruntime.InferenceSession(converted.SerializeToString())
    inputs = [rng.uniform(-1, 1, (3, *x.shape[1:])).astype(np.float32) for x in model.inputs]
    feeds = {}
    for x, value in zip(inputs, session.get_inputs(), strict=True):
        feeds[value.name] = x if tuple(value.shape[1:]) == x.shape[1:] else first(x)
    wanted = keras.tree.flatten(model(inputs if len(inputs) > 1 else inputs[0], training=False))
    for found, want in zip(session.run(None, feeds), wanted, strict=True):
        expected = keras.ops.convert_to_numpy(want)
        if found.shape != expected.shape:
            expected = first(expected)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_it_computes_what_keras_does(name: str):
    model = randomised(MODELS[name]())
    assert_same(model, rpucc.from_keras(model))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations(name: str):
    model = randomised(sequential(L.Dense(4, activation=name), shape=(6,)))
    assert_same(model, rpucc.from_keras(model))


def test_names_batch_norms_and_the_order_of_axes():
    model = cnn()
    converted = rpucc.from_keras(model)
    paths = {v.path.removeprefix("net/") for v in model.variables if "seed" not in v.path}
    weights = {w.name: tuple(w.dims) for w in converted.graph.initializer}
    assert paths <= weights.keys()
    assert weights["conv/kernel"] == (4, 1, 5, 5)
    assert [d.dim_value for d in converted.graph.input[0].type.tensor_type.shape.dim] == [
        0,
        1,
        28,
        28,
    ]
    program = rpucc.compile(converted, "ideal")
    assert program.verified
    assert program.name == "net"
    assert [layer.name for layer in program.plan.analog_layers] == ["conv", "conv_2", "fc"]
    assert "batch norms: 2 digital, with statistics of the batch" in program.plan.notes


def test_a_model_of_images_of_any_size():
    model = randomised(sequential(L.Conv2D(2, 3, padding="same", strides=2), shape=(None, None, 1)))
    converted = rpucc.from_keras(model)
    check = rpucc.check(converted, "ideal", input_shape=(1, 8, 6), loss="mse")
    assert check.compiles


@pytest.mark.parametrize("file", [False, True])
def test_trained_and_back_in_keras(tmp_path: Path, file: bool):
    """Also from its file, where Keras calls the weights otherwise."""
    x, y = (getattr(rpucc.load_dataset("mnist-mini"), f"{key}_train")[:700] for key in "xy")
    data = rpucc.load_dataset((x[:500], y[:500], x[500:], y[500:]))
    model = cnn()
    model.save(tmp_path / "net.keras")
    source = tmp_path / "net.keras" if file else rpucc.from_keras(model)
    machine = rpucc.Machine(rpucc.compile(source, "rpu-managed", verify=False), seed=0)
    trainer = rpucc.Trainer(machine)
    trainer.fit(data, epochs=1, lr=0.02)
    machine.export().to_keras(model)
    pixels = np.moveaxis(data.x_test, 1, -1).astype(np.float32) / 255
    logits = keras.ops.convert_to_numpy(model(pixels, training=False))
    np.testing.assert_allclose(logits, trainer.predict(data, ideal=True), rtol=0, atol=1e-4)


def test_kernels_by_channel_come_home():
    model, other = (randomised(sequential(*by_channel(), shape=(9, 8, 4))) for _ in "ab")
    program = rpucc.compile(rpucc.from_keras(model), "ideal", loss="mse", verify=False)
    rpucc.Machine(program).export().to_keras(other)
    for mine, theirs in zip(model.variables, other.variables, strict=True):
        found = (keras.ops.convert_to_numpy(each) for each in (mine, theirs))
        np.testing.assert_allclose(*found, rtol=1e-6)


def test_another_model_is_refused():
    machine = rpucc.Machine(rpucc.compile(rpucc.from_keras(cnn()), "ideal", verify=False))
    other = sequential(L.Dense(2, name="else"), shape=(3,))
    with pytest.raises(
        rpucc.ModelError, match=r"to_keras: model 'net': has no place for any weight"
    ):
        machine.export().to_keras(other)
    with pytest.raises(rpucc.ArgumentError, match=r"to_keras\(model\): found 3"):
        machine.export().to_keras(3)


class Subclass(keras.Model):
    def call(self, x: Any) -> Any:
        return x


class Own(L.Dense):
    """A layer of a user's own, which may do anything."""


@pytest.mark.parametrize(
    ("model", "kind", "message"),
    [
        (lambda: Subclass(name="mine"), "UnsupportedError", "'mine': has no graph of layers"),
        (lambda: keras.Sequential([L.Dense(2)], name="n"), "UnsupportedError", "'n': has no graph"),
        (
            lambda: sequential(Own(2, name="own"), shape=(3,)),
            "UnsupportedError",
            r"layer 'own' \(Own\): a layer of your own that from_keras takes|a layer of your own",
        ),
        (
            lambda: sequential(L.LSTM(2, name="cell"), shape=(5, 3)),
            "UnsupportedError",
            r"layer 'cell' \(LSTM\): not among the layers that from_keras takes: Dense, Conv1D",
        ),
        (
            lambda: sequential(L.Dense(2, activation=keras.ops.sin, name="d"), shape=(3,)),
            "UnsupportedError",
            r"layer 'd' \(Dense\): activation .* is not taken; those taken: celu",
        ),
        (lambda: 3, "ArgumentError", r"from_keras\(model\): found 3; allowed: a Keras 3 model"),
    ],
)
def test_what_is_not_taken_is_one_line(model: Any, kind: str, message: str):
    with pytest.raises(getattr(rpucc, kind), match=message) as caught:
        rpucc.from_keras(model())
    assert "\n" not in str(caught.value)


def test_a_keras_file_compiles_as_its_model(tmp_path: Path):
    model = randomised(cnn())
    path = tmp_path / "net.keras"
    model.save(path)
    program = rpucc.compile(path, "ideal", verify=True)
    of_model = rpucc.compile(rpucc.from_keras(model), "ideal", verify=False)
    assert program.name == "net"
    mine, other = (
        sorted(v.const_value.numpy().ravel().tolist() for v in p.model.graph.initializers.values())
        for p in (program, of_model)
    )
    assert mine == other


def test_a_keras_file_with_code_is_refused(tmp_path: Path):
    model = sequential(L.Lambda(lambda x: x * 2), L.Dense(2), shape=(3,))
    path = tmp_path / "code.keras"
    model.save(path)
    with pytest.raises(
        rpucc.ModelError, match=r"code.keras: Keras does not load it: it has a Lambda"
    ):
        rpucc.compile(path)


@pytest.mark.parametrize("share", [0.2, 0.9])
def test_a_cut_keras_file_is_one_line(tmp_path: Path, share: float):
    path = tmp_path / "net.keras"
    cnn().save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(rpucc.ModelError, match=r"net.keras: a damaged archive"):
        rpucc.compile(path)


def test_a_moving_variance_below_0_is_one_line():
    model = sequential(L.Conv2D(4, 3), L.BatchNormalization(name="norm"), shape=(8, 8, 3))
    layer = model.get_layer("norm")
    scale, shift, mean, _ = layer.get_weights()
    layer.set_weights([scale, shift, mean, np.array([1, -0.5, 1, 1], np.float32)])
    with pytest.raises(rpucc.ModelError) as caught:
        rpucc.compile(rpucc.from_keras(model), "ideal", training=False)
    assert "has 1 of 4 that are -0.5" in str(caught.value)
    assert "\n" not in str(caught.value)
