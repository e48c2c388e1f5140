"""Ideal mode is exact: the runtime, stock onnxruntime, the original model and NumPy agree."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.models import build
from rpucc.runtime.backend import Backend
from rpucc.runtime.executor import Executor
from rpucc.runtime.machine import Machine

from .numpy_lenet import CONVOLUTIONS, DENSE, lenet_step
from .stock import (
    assert_agree,
    assert_close,
    ideal,
    run_executor,
    stock_values,
    training_feeds,
    training_outputs,
)

SIZES = [(512, 512), (128, 128), (100, 60), (7, 5)]
LAYERS = [*CONVOLUTIONS, *DENSE]

LENET_VALUES = {
    *("conv1_out", "tanh1_out", "pool1_out", "conv2_out", "tanh2_out", "pool2_out"),
    *("flatten_out", "fc1_out", "tanh3_out", "logits"),
}


@cache
def lenet(rows: int, cols: int) -> rpucc.Program:
    return ideal("lenet", rows, cols)


@cache
def mnist_conv(path: Path, rows: int, cols: int) -> rpucc.Program:
    return ideal(path, rows, cols, input_range=(0.0, 255.0))


def step(
    backend: Backend, program: rpucc.Program, batch: int
) -> tuple[Executor, dict[str, np.ndarray]]:
    """An executor after one training step, and all values of the program on onnxruntime."""
    feeds = training_feeds(program, batch)
    executor = run_executor(
        Machine(program), feeds, training_outputs(program), batch, backend=backend
    )
    return executor, stock_values(program.model, feeds)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_a_lenet_step_is_that_of_onnxruntime_at_every_value(
    backend: Backend, size: tuple[int, int], batch: int
) -> None:
    program = lenet(*size)
    executor, expected = step(backend, program, batch)
    common = assert_agree(executor, expected)
    assert common >= LENET_VALUES | {"loss", "pool1_out.grad", "conv1.y.grad"}
    assert common >= set(program.updates.values())


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_lenet_computes_what_the_original_model_does(size: tuple[int, int], batch: int) -> None:
    program = lenet(*size)
    feeds = training_feeds(program, batch)
    expected = stock_values(build("lenet"), feeds)
    executor = run_executor(Machine(program), feeds, [program.output], batch, evaluating=True)
    assert assert_agree(executor, expected) == LENET_VALUES


@pytest.mark.parametrize("size", SIZES[1:])
def test_tiled_equals_untiled(size: tuple[int, int]) -> None:
    program = lenet(*size)
    assert sum(array.layout.tiles.size for array in Machine(program).arrays.values()) > len(LAYERS)
    feeds = training_feeds(program, 3)
    runs = [
        run_executor(Machine(each), feeds, training_outputs(each), 3)
        for each in (lenet(512, 512), program)
    ]
    whole = {name: runs[0][name] for name in runs[0].names()}
    assert assert_agree(runs[1], whole) >= LENET_VALUES | set(program.updates.values())


@pytest.mark.parametrize("size", SIZES)
def test_a_training_step_equals_a_plain_numpy_step(backend: Backend, size: tuple[int, int]) -> None:
    program = lenet(*size)
    machine = Machine(program)
    before = {name: machine.arrays[f"{name}.W"].weights.copy() for name in LAYERS}
    feeds = training_feeds(program, 3)
    executor = run_executor(machine, feeds, training_outputs(program), 3)
    loss, logits, after = lenet_step(before, feeds["x"], feeds["labels"], float(feeds["lr"]))
    assert_close(executor["loss"], np.float32(loss), "loss")
    assert_close(executor["logits"], logits.astype(np.float32), "logits")
    for name in LAYERS:
        W = machine.arrays[f"{name}.W"].weights
        assert_close(W, after[name].astype(np.float32), name)
        # The change itself, too: it is far smaller than the weights. Rounding of W limits it.
        change = after[name] - before[name]
        rounding = float(np.abs(before[name]).max()) * 2.0**-23
        limit = 1e-5 * float(np.abs(change).max()) + rounding
        np.testing.assert_allclose(W.astype(np.float64) - before[name], change, rtol=0, atol=limit)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("size", SIZES)
def test_mnist_conv_is_exact_at_every_value(
    backend: Backend, shared: Path, size: tuple[int, int], batch: int
) -> None:
    path = shared / "models/mnist-conv/model.onnx"
    program = mnist_conv(path, *size)
    executor, expected = step(backend, program, batch)
    common = assert_agree(executor, expected)
    assert common >= {program.output, "loss", *program.updates.values()}


@pytest.mark.parametrize("size", SIZES)
def test_mnist_conv_gives_its_stored_output(shared: Path, size: tuple[int, int]) -> None:
    folder = shared / "models/mnist-conv"
    program = mnist_conv(folder / "model.onnx", *size)
    x, y = (
        onnx.numpy_helper.to_array(onnx.load_tensor(folder / f"{name}_0.pb"))
        for name in ("input", "output")
    )
    executor = run_executor(Machine(program), {program.inputs[0]: x}, [program.output], 1)
    # The file was written by another framework: onnxruntime itself only comes this close.
    np.testing.assert_allclose(executor[program.output], y, rtol=0, atol=1e-5 * np.abs(y).max())
    original = onnx.load(folder / "model.onnx")
    expected = stock_values(original, {original.graph.input[0].name: x})
    assert len(assert_agree(executor, expected)) >= 8
