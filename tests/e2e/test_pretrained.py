"""Pretrained networks are programmed as they are: batch norms folded into channels of all sizes.

Errors are those of networks whose channels were multiplied, as folding leaves them, and divided
again in the next layer: the same function, to rounding. Beside them the same with devices that
hold every weight: what is left between both is what the devices' bounds do.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import rpucc
from rpucc.layers import analog_layers

from .conftest import Cli

SHARED = Path(__file__).resolve().parents[3] / "shared"
UNBOUNDED = (
    "device.w_max=1e6",
    "device.w_min=-1e6",
    "device.w_max_dtod=0",
    "device.w_min_dtod=0",
)
WITHIN = 0.01
"""What the devices' bounds may add to the error."""

Weights = dict[str, np.ndarray]


def error(model: onnx.ModelProto, x: np.ndarray, y: np.ndarray, *overrides: str) -> float:
    """The share of samples that the network, programmed and not trained, gets wrong."""
    program = rpucc.compile(model, "rpu-managed", training=False, overrides=overrides)
    outputs = rpucc.Trainer(rpucc.Machine(program, seed=3)).predict(x)
    return float(np.mean(outputs.argmax(axis=1) != y))


def network(weights: Weights) -> onnx.ModelProto:
    """Two convolutions with ReLU and pooling, and a dense layer."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "a.w", "a.b"], ["a1"], name="a"),
        node("Relu", ["a1"], ["a2"], name="ra"),
        node("MaxPool", ["a2"], ["a3"], name="pa", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["a3", "b.w", "b.b"], ["b1"], name="b"),
        node("Relu", ["b1"], ["b2"], name="rb"),
        node("MaxPool", ["b2"], ["b3"], name="pb", kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["b3"], ["f"], name="f"),
        node("Gemm", ["f", "c.w", "c.b"], ["y"], name="c", transB=1),
    ]
    graph = helper.make_graph(
        nodes,
        "pretrained",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@cache
def trained() -> Weights:
    """A few epochs in floating point on the built-in images."""
    rng = np.random.default_rng(0)
    shapes = {"a": (8, 1, 5, 5), "b": (16, 8, 5, 5), "c": (10, 256)}
    start = {}
    for name, shape in shapes.items():
        start[f"{name}.w"] = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        start[f"{name}.b"] = np.zeros(shape[0])
    program = rpucc.compile(network(start), "ideal", overrides=["mapping.bias=array"], verify=False)
    machine = rpucc.Machine(program)
    rpucc.Trainer(machine).fit(rpucc.load_dataset("mnist-mini"), epochs=6, batch_size=4, lr=0.05)
    found: Weights = {}
    for layer in analog_layers(program.model):
        W = machine.arrays[str(layer.weight.name)].weights
        found[f"{layer.name}.w"] = W[:, :-1].reshape(shapes[layer.name])
        found[f"{layer.name}.b"] = W[:, -1]
    return found


def with_gains(weights: Weights, gains: dict[str, np.ndarray]) -> Weights:
    """The same function: channels of a and b multiplied, what multiplies them divided."""
    a, b = gains["a"], gains["b"]
    taps = weights["c.w"].shape[1] // len(b)
    return {
        "a.w": weights["a.w"] * a.reshape(-1, 1, 1, 1),
        "a.b": weights["a.b"] * a,
        "b.w": weights["b.w"] * b.reshape(-1, 1, 1, 1) / a.reshape(1, -1, 1, 1),
        "b.b": weights["b.b"] * b,
        "c.w": weights["c.w"] / np.repeat(b, taps),
        "c.b": weights["c.b"],
    }


@pytest.fixture(scope="module")
def images() -> tuple[np.ndarray, np.ndarray]:
    data = rpucc.load_dataset("mnist-mini")
    x = data.x_test
    return (x / np.float32(255) if x.dtype == np.uint8 else x), data.y_test


@pytest.mark.parametrize("largest", [1, 60])
def test_bounds_add_no_error(images: tuple[np.ndarray, np.ndarray], largest: float) -> None:
    rng = np.random.default_rng(1)
    gains = {
        name: rng.permutation(np.geomspace(1, largest, n)) for name, n in (("a", 8), ("b", 16))
    }
    model = network(with_gains(trained(), gains))
    plain = error(network(trained()), *images, *UNBOUNDED)
    assert plain < 0.08
    programmed = error(model, *images)
    assert programmed <= plain + WITHIN
    # Without scaling it is ruined, on devices with bounds and, by noise, on devices without.
    if largest > 1:
        assert error(model, *images, "mapping.weight_scaling=off") > plain + 0.1
        assert error(model, *images, "mapping.weight_scaling=off", *UNBOUNDED) > plain + 0.1


def test_scales_that_cannot_move_on(images: tuple[np.ndarray, np.ndarray]) -> None:
    """A last layer fifty times too large: its outputs are scaled, digitally."""
    weights = trained()
    large = {**weights, "c.w": 50 * weights["c.w"], "c.b": 50 * weights["c.b"]}
    programmed = error(network(large), *images)
    assert programmed <= error(network(weights), *images, *UNBOUNDED) + WITHIN
    assert error(network(large), *images, "mapping.weight_scaling=off") > programmed + 0.1


def test_run_says_what_was_clipped(cli: Cli, workplace: Path) -> None:
    """Before: what compiling knows; then what the devices of this machine hold."""
    weights = trained()
    onnx.save(network({**weights, "c.w": 50 * weights["c.w"]}), "large.onnx")
    np.save("x.npy", np.zeros((1, 1, 28, 28), np.float32))
    off = cli("run", "large.onnx", "x.npy", "--set", "mapping.weight_scaling=off")
    assert off.code == 0
    said = " ".join(off.stderr.split())
    assert "weights beyond the devices' bounds, which programming clips: 'c' " in said
    assert re.search(r"note [\d,]+ weights \([\d.]+ %\) clipped to .* bounds,.* c [\d.]+ %", said)
    scaled = cli("run", "large.onnx", "x.npy")
    assert "'c': outputs are multiplied digitally" in " ".join(scaled.stderr.split())
    assert ", c " not in scaled.stderr  # some devices' own bounds are low, but not many


def mnist(count: int) -> tuple[np.ndarray, np.ndarray]:
    path = SHARED / "data" / "mnist.npz"
    if not path.exists():
        pytest.skip("needs the full MNIST of ../shared")
    data = np.load(path)
    return data["x_test"][:count, None].astype(np.float32) / 255, data["y_test"][:count]


def zoo_model(gains: bool) -> onnx.ModelProto:
    """The MNIST network of the ONNX model zoo, its channels multiplied by 1 to 60 and back."""
    path = SHARED / "models" / "mnist-conv" / "model.onnx"
    if not path.exists():
        pytest.skip("needs the models of ../shared")
    model = onnx.load(path)
    if not gains:
        return model
    initial = {tensor.name: tensor for tensor in model.graph.initializer}

    def change(name: str, factor: np.ndarray) -> None:
        array = (numpy_helper.to_array(initial[name]) * factor).astype(np.float32)
        initial[name].CopyFrom(numpy_helper.from_array(array, name))

    rng = np.random.default_rng(0)
    a, b = (rng.permutation(np.geomspace(1, 60, n)) for n in (8, 16))
    change("Parameter5", a.reshape(-1, 1, 1, 1))
    change("Parameter6", a.reshape(-1, 1, 1))
    change("Parameter87", b.reshape(-1, 1, 1, 1) / a.reshape(1, -1, 1, 1))
    change("Parameter88", b.reshape(-1, 1, 1))
    change("Parameter193", 1 / b.reshape(-1, 1, 1, 1))
    return model


@pytest.mark.parametrize("gains", [False, True])
def test_a_network_of_the_onnx_zoo(gains: bool) -> None:
    """1.0 % of all test images are wrong in floating point, 1.8 % of the first 3,000."""
    x, y = mnist(3000)
    model = zoo_model(gains)
    programmed = error(model, x, y)
    assert programmed <= 0.04
    assert programmed <= error(model, x, y, *UNBOUNDED, "mapping.weight_scaling=0.6") + WITHIN


def test_a_network_of_the_onnx_zoo_is_fine_tuned() -> None:
    """Its last layer at a low rate: what it was trained for is kept, and what is frozen."""
    data = rpucc.load_dataset("mnist-mini")
    program = rpucc.compile(zoo_model(gains=False), "rpu-managed", freeze=["Convolution*"])
    assert sorted(program.updates) == ["Times212.W.scaled", "Times212.b"]
    machine = rpucc.Machine(program, seed=3)
    trainer = rpucc.Trainer(machine)
    programmed, before = trainer.evaluate(data).error, machine.state()
    frozen = {name: array.copy() for name, array in before.items() if "Convolution" in name}
    few = (data.x_train[:2000], data.y_train[:2000], data.x_test, data.y_test)
    (epoch,) = trainer.fit(few, epochs=1, lr=0.002)
    assert programmed is not None
    assert epoch.test_error is not None
    assert epoch.test_error <= programmed + 0.003
    assert len(frozen) == 2
    for name, array in frozen.items():
        np.testing.assert_array_equal(machine.state()[name], array)
