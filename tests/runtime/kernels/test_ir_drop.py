"""IR drop: the closed form, draw for draw with all that stands around it, tile by tile."""

from __future__ import annotations

import importlib.util
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from rpucc.runtime.kernels.read import PROBED_OUTPUTS, READS, REREADS
from rpucc.runtime.reference.read import wire_loss
from rpucc.stages.ir_drop import IrDrop

from ..tilings import Periphery, Tiling, off_dac_borders, plain_read, read_rows

TILING = Tiling((0, 40, 70, 81), (0, 50, 101), first_tile=3)
STRONG = {IrDrop: (3000.0,)}  # tiles are small: as much as nominal wires take from large ones
NOMINAL = {IrDrop: (1.0,)}


def plainly(W: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What nominal wires leave of W x, one output and one input after the other."""
    n, wire = len(x), 0.35 * 5e-6
    y = np.empty(len(W))
    for i, row in enumerate(W.astype(float)):
        currents = [w * v for w, v in zip(row, x, strict=True)]
        load = n * wire * sum(map(abs, currents))
        share = load * (0.05 * load**2 - 0.2 * load + 0.5)
        far = sum(c * (1 - (1 - j / n) ** 2) for j, c in enumerate(currents))
        y[i] = sum(currents) - share * far
    return y


def of_512_inputs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    W = rng.uniform(-0.6, 0.6, (30, 512)).astype(np.float32)
    return W, rng.uniform(-1, 1, (5, 512)).astype(np.float32)


@pytest.mark.parametrize("transpose", [False, True])
def test_is_the_closed_form(transpose: bool) -> None:
    W, X = of_512_inputs()
    expected = np.array([plainly(W, x) for x in X.astype(float)])
    stored = np.ascontiguousarray(W.T) if transpose else W
    tiling = Tiling((0, stored.shape[0]), (0, stored.shape[1]))
    Y, _ = read_rows(stored, X, tiling, Periphery(further=NOMINAL), transpose=transpose)
    assert np.abs(X @ W.T - expected).max() > 0.1  # it moves the outputs
    np.testing.assert_allclose(Y, expected, rtol=0, atol=2e-5)
    loss = np.array([wire_loss(W.astype(float), x) for x in X.astype(float)])
    np.testing.assert_allclose(X.astype(float) @ W.T - loss, expected, rtol=0, atol=1e-12)


def test_is_that_of_the_prototype(shared: Path) -> None:
    path = shared / "prototypes" / "inference_twin.py"
    if not path.exists():
        pytest.skip("the shared folder has no prototype of it")
    spec = importlib.util.spec_from_file_location("inference_twin", path)
    assert spec is not None
    assert spec.loader is not None
    twin = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(twin)
    W, X = of_512_inputs()
    expected = [twin.ir_drop(W.astype(float), x) for x in X.astype(float)]
    Y, _ = read_rows(W, X, Tiling((0, 30), (0, 512)), Periphery(further=NOMINAL))
    np.testing.assert_allclose(Y, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize(
    ("transpose", "managed", "halvings", "dac", "adc"),
    list(product((False, True), (False, True), (0, 3), (0, 7), (0, 9))),
)
def test_equals_the_reference(
    transpose: bool, managed: bool, halvings: int, dac: int, adc: int
) -> None:
    """Behind the DAC, before noise and bound, in every re-read, each tile with its own inputs."""
    periphery = Periphery(0.06, 0.8, dac, adc, managed, halvings, further=STRONG)
    rng = np.random.default_rng(1)
    W = rng.uniform(-0.6, 0.6, TILING.shape).astype(np.float32)
    X = off_dac_borders(rng, 12, TILING, periphery, transpose)
    X[1] = 0
    where = {"positions": 4, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    assert (plain.statistics[REREADS] > 0) == (halvings > 0)
    for block in (12, 5):
        Y, statistics = read_rows(W, X, TILING, periphery, block=block, **where)
        np.testing.assert_array_equal(statistics, plain.statistics)
        assert np.mean(plain.slack == 0) > 0.95
        off = 1e-5 * max(1.0, np.abs(plain.Y).max()) + 1.001 * plain.slack
        assert np.all(np.abs(Y - plain.Y) <= off)
    without = Periphery(0.06, 0.8, dac, adc, managed, halvings)
    assert np.abs(read_rows(W, X, TILING, without, **where)[0] - plain.Y).max() > 0.1


@pytest.mark.parametrize("transpose", [False, True])
def test_large_tiles_under_bound_management_equal_the_reference(transpose: bool) -> None:
    outputs, inputs = PROBED_OUTPUTS + 9, 60
    rng = np.random.default_rng(2)
    W = rng.uniform(-0.6, 0.6, (outputs, inputs)).astype(np.float32)
    X = rng.uniform(-1, 1, (12, inputs)).astype(np.float32)
    X[2], X[3] = 0, X[3] / 64
    tiling = Tiling((0, outputs), (0, 25, inputs))
    if transpose:
        W, tiling = np.ascontiguousarray(W.T), Tiling((0, 25, inputs), (0, outputs))
    periphery = Periphery(0.02, 1.5, 0, 0, True, 3, further=STRONG)
    where = {"positions": 4, "transpose": transpose}
    plain = plain_read(W, X, tiling, periphery, **where)
    assert 0 < plain.statistics[REREADS] != plain.statistics[READS]
    Y, statistics = read_rows(W, X, tiling, periphery, **where)
    np.testing.assert_array_equal(statistics, plain.statistics)
    np.testing.assert_allclose(Y, plain.Y, rtol=0, atol=1e-5 * np.abs(plain.Y).max())


def test_wires_of_half_the_length_take_a_quarter() -> None:
    """A small load: half the inputs are half of the current on half of the wire."""
    x = np.full((1, 40), 0.01, np.float32)
    loss = []
    for n in (20, 40):
        W = np.full((1, n), 0.5, np.float32)
        how = Periphery(further={IrDrop: (1e4,)})
        Y, _ = read_rows(W, x[:, :n], Tiling((0, 1), (0, n)), how)
        loss.append(1 - float(Y[0, 0]) / (0.005 * n))
    assert loss[1] / loss[0] == pytest.approx(4, rel=0.05)
