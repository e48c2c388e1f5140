"""--mean and --std: nodes before the first layer that normalise the data, like any other nodes."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest

import rpucc
from rpucc.errors import ArgumentError, UsageError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def network(shape: str = "N,3,4,6", opset: int = 21) -> Any:
    """One dense layer on what goes in, flat."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : {opset}]> net (float[{shape}] x) => (float[N,2] y)
        {{ f = Flatten <axis = 1> (x)  y = MatMul (f, W) }}
    """)
    size = math.prod(int(word) for word in shape.split(",")[1:])
    weights = np.random.default_rng(0).normal(size=(size, 2)).astype(np.float32) / 10
    model.graph.initializer.append(onnx.numpy_helper.from_array(weights, "W"))
    return model


def stock(model: Any, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(model.SerializeToString())
    return np.asarray(session.run(None, {"x": x.astype(np.float32)})[0])


def predicted(program: rpucc.Program, x: np.ndarray) -> np.ndarray:
    return rpucc.Trainer(rpucc.Machine(program)).predict(x)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [("N,3,4,6", (3, 1, 1)), ("N,4,6,3", (3,)), ("N,3,3,3", (3, 1, 1)), ("N,3", (3,))],
)
@pytest.mark.parametrize("mean", [MEAN, 0.3, None])
@pytest.mark.parametrize("std", [STD, 2, None])
def test_a_program_computes_the_network_on_normalised_data(
    shape: str, axes: tuple[int, ...], mean: Any, std: Any
) -> None:
    model = network(shape)
    program = rpucc.compile(model, "ideal", mean=mean, std=std)
    assert program.verified
    x = np.random.default_rng(1).random((5, *map(int, shape.split(",")[1:])))
    subtracted = np.reshape(mean, axes) if mean is MEAN else mean or 0
    divided = np.reshape(std, axes) if std is STD else std or 1
    expected = stock(model, (x - subtracted) / divided)
    np.testing.assert_allclose(predicted(program, x.astype("f4")), expected, atol=1e-5)
    names = [node.name for node in program.model.graph][:2]
    wanted = ["normalise_mean"] * (mean is not None) + ["normalise_std"] * (std is not None)
    assert names[: len(wanted)] == wanted


def test_bytes_are_mapped_onto_the_input_range_first() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (4, 3, 4, 6)).astype(np.uint8)
    program = rpucc.compile(network(), "ideal", mean=MEAN, std=STD)
    assert program.input_range == (0.0, 1.0)
    normalised = (pixels / 255 - np.reshape(MEAN, (3, 1, 1))) / np.reshape(STD, (3, 1, 1))
    np.testing.assert_allclose(
        predicted(program, pixels), stock(network(), normalised), rtol=1e-4, atol=1e-5
    )
    raw = rpucc.compile(network(), "ideal", mean=10, std=100, input_range=(0, 255))
    np.testing.assert_allclose(
        predicted(raw, pixels), stock(network(), (pixels - 10.0) / 100), rtol=1e-4, atol=1e-5
    )


def test_the_range_that_a_file_states_is_that_of_normalised_data() -> None:
    model = network()
    model.metadata_props.add(key="rpucc.input_range", value="-2.1 2.6")
    assert rpucc.compile(model, "ideal").input_range == (-2.1, 2.6)
    assert rpucc.compile(model, "ideal", mean=MEAN, std=STD).input_range == (0.0, 1.0)


def test_noise_is_managed_where_normalised_data_leave_the_converters_range() -> None:
    managed = ["management.noise_forward=auto"]
    for std, expected in ((0.2, True), (2.0, False)):
        program = rpucc.compile("lenet", "rpu-managed", overrides=managed, mean=0.5, std=std)
        reads = [node.op_type for node in program.model.graph][:6]
        assert ("NoiseManage" in reads) == expected


def test_mean_and_deviation_stay_as_they_are_in_training() -> None:
    program = rpucc.compile(network(), "ideal", mean=MEAN, std=STD)
    assert set(program.updates) == {"W"} or all("x." not in name for name in program.updates)
    x = np.random.default_rng(1).random((30, 3, 4, 6)).astype("f4")
    y = (x.mean((1, 2, 3)) > 0.5).astype(int)
    machine = rpucc.Machine(program)
    rpucc.Trainer(machine).fit((x, y), epochs=1, batch_size=3, lr=0.1)
    found = {
        v.name: v.const_value.numpy() for v in machine.program.model.graph.initializers.values()
    }
    np.testing.assert_allclose(found["x.mean"].ravel(), MEAN, rtol=1e-6)


def test_every_input_that_is_read_is_normalised_and_names_are_free() -> None:
    model = onnx.parser.parse_model("""
        <ir_version: 10, opset_import: ["" : 21]>
        net (float[N,3] a, float[N,3] b, float[N,3] unread) => (float[N,3] y)
        { normalise_mean = Add (a, b)  z = Mul (unread, unread)  y = Relu (normalise_mean) }
    """)
    model.graph.node[0].name = "normalise_mean"
    program = rpucc.compile(model, "ideal", mean=(1, 2, 3), training=False)
    assert program.verified
    assert program.inputs == ("a", "b")
    ones = np.ones((2, 3), np.float32)
    found = predicted(program, {"a": ones, "b": ones * 1})  # type: ignore[arg-type]
    np.testing.assert_allclose(found, [[0, 0, 0]] * 2)
    nodes = [node.name for node in program.model.graph]
    assert len(set(nodes)) == len(nodes) == 4


def test_a_wrong_number_of_channels() -> None:
    with pytest.raises(
        UsageError, match=r"--mean has 2 numbers, but the input 'x' is \[N, 3, 4, 6\]"
    ):
        rpucc.compile(network(), "ideal", mean=(1, 2))
    with pytest.raises(UsageError, match="--std has 4 numbers"):
        rpucc.compile(network(), "ideal", std=(1, 2, 3, 4))


def test_an_old_opset_is_refused_with_the_way_out() -> None:
    with pytest.raises(UsageError, match="--mean and --std need opset 7, the file has 6; convert"):
        rpucc.compile(network(opset=6), "ideal", mean=0.5)


@pytest.mark.parametrize(
    "wrong",
    [
        {"mean": "0.5"},
        {"mean": ()},
        {"mean": math.nan},
        {"std": 0},
        {"std": (1, -1)},
        {"std": 1e-50},
        {"std": math.inf},
        {"mean": True},
        {"mean": [[1, 2]]},
    ],
)
def test_what_is_no_number(wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError, match=r"^(mean|std): found .*; allowed: a finite number"):
        rpucc.CompileOptions(**wrong)


def test_check_says_the_fate_of_the_new_nodes() -> None:
    nodes = rpucc.check(network(), "ideal", mean=0.5, std=2).nodes
    fates = {node.node: node.fate for node in nodes}
    assert fates["normalise_mean"] == fates["normalise_std"] == "digital"
    assert fates["x.mean"] == "constant"
