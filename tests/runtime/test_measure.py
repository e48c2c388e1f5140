"""Weights that are measured through noisy reads: how far they are off; nothing else moves."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

import rpucc
from rpucc.errors import ArgumentError
from rpucc.runtime.measure import Measured, measure

DENSE = """<ir_version: 10, opset_import: ["" : 21]>
    net (float[N,120] x) => (float[N,40] y) { y = Gemm <transB = 1> (x, W) }"""
GROUPED = """<ir_version: 10, opset_import: ["" : 21]>
    net (float[N,32,5,5] x) => (float[N,48,3,3] y) { y = Conv <group = 4> (x, W) }"""


def machine(text: str, shape: tuple[int, ...], *overrides: str) -> rpucc.Machine:
    model = onnx.parser.parse_model(text)
    W = np.random.default_rng(0).uniform(-0.3, 0.3, shape).astype("f")
    model.graph.initializer.append(onnx.numpy_helper.from_array(W, "W"))
    target = {
        "name": "small",
        "array": [{"name": "a", "rows": 32, "cols": 50, "t_read": 1e-8}],
        "device": {"model": "constant-step"},
        "periphery": {"read_noise": 0.06},
    }
    program = rpucc.compile(model, target, overrides=overrides, loss="mse", verify=False)
    return rpucc.Machine(program, seed=1)


def measured(made: rpucc.Machine, reads: int, threads: int = 1) -> Measured:
    """The weights of its only array."""
    where = made.arrays, made.program.target, made.counters.sample
    (found,) = measure(*where, reads, threads).values()
    return found


def off(made: rpucc.Machine, reads: int) -> tuple[float, float]:
    """How far the weights are off (RMS), and how far the measurement says that they are."""
    found, (array,) = measured(made, reads), made.arrays.values()
    return float(np.sqrt(np.mean((found.weights - array.weights) ** 2))), found.error


@pytest.mark.parametrize("reads", [50, 200, 800])
@pytest.mark.parametrize(
    ("text", "shape"), [(DENSE, (40, 120)), (GROUPED, (48, 8, 3, 3))], ids=["tiles", "groups"]
)
def test_the_error_is_that_of_the_noise(text: str, shape: tuple[int, ...], reads: int) -> None:
    """σ / √N for few columns at a time, σ / √(3/4 N) at most; the residuals tell it."""
    rms, said = off(machine(text, shape), reads)
    assert rms == pytest.approx(said, rel=0.1)
    assert 0.95 < said / (0.06 / np.sqrt(reads)) < 1.05 / np.sqrt(0.75)


def test_ideal_reads_give_the_weights() -> None:
    rms, said = off(machine(DENSE, (40, 120), "periphery.read_noise=0"), 20)
    assert rms < 1e-6
    assert said < 1e-6


def test_converters_cost_what_their_steps_are() -> None:
    """An ADC of 7 bits over ±12 has steps of 0.19, an error of 0.055 a read."""
    coarse = machine(
        DENSE, (40, 120), "periphery.read_noise=0", "periphery.bound=12", "periphery.adc_bits=7"
    )
    rms, said = off(coarse, 200)
    assert 0.002 < rms < 0.01
    assert rms == pytest.approx(said, rel=0.2)


def test_it_changes_nothing_and_gives_the_same_again() -> None:
    made = machine(DENSE, (40, 120))
    state = {name: array.copy() for name, array in made.state().items()}
    first, again = measured(made, 20), measured(made, 20, threads=2)
    assert np.array_equal(first.weights, again.weights)
    assert all(np.array_equal(state[name], array) for name, array in made.state().items())
    made.counters.sample += 20  # after further training
    later = measured(made, 20)
    assert not np.array_equal(first.weights, later.weights)


@pytest.mark.parametrize("measured", [1, 0, True, 2.5, "200"])
def test_other_numbers_of_reads_are_refused(measured: object) -> None:
    with pytest.raises(ArgumentError, match="measured"):
        machine(DENSE, (40, 120)).export(measured=measured)
