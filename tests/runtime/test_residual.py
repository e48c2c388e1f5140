"""Residual learning: Tiki-Taka where nothing is seen of A, and its law where something is."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.runtime.machine import Machine
from rpucc.runtime.trainer import Trainer

from .small import tiny, tiny_data
from .stock import assert_close, run_executor, stock_values, training_feeds, training_outputs

KEYS = ("cell.transfer_by_minibatch=false", "cell.transfer_every=3", "cell.transfer_lr=5")


@pytest.mark.parametrize("pulsed", ["true", "false", '"mean"'])
def test_with_nothing_seen_it_is_tiki_taka_bit_for_bit(pulsed: str) -> None:
    keys = (*KEYS, "cell.gamma=0", "calibration.pairs=20", f"update.pulsed={pulsed}")
    states = []
    for model in ("tiki-taka", "residual"):
        machine = Machine(tiny("soft-bounds", "", f"cell.model={model}", *keys), seed=3)
        Trainer(machine).fit(tiny_data(), epochs=1, batch_size=8, lr=0.05)
        states.append({name: array.copy() for name, array in machine.state().items()})
    assert states[0].keys() == states[1].keys()
    assert np.any(states[0]["c.W.fast"])
    for name, array in states[0].items():
        np.testing.assert_array_equal(states[1][name], array, name)


def test_a_step_is_that_of_onnxruntime() -> None:
    program = tiny("ideal", "", "cell.model=residual", *KEYS, "cell.transfer_columns=4")
    assert program.target.for_layer("c").cell.settings.gains == {"slow": 1.0, "fast": 0.4}
    machine, feeds = Machine(program), training_feeds(program, 2)
    feeds[str(program.step.labels)] %= 3
    expected = stock_values(program.model, feeds)
    run_executor(machine, feeds, training_outputs(program), 2)
    for name, after in program.step.state.items():
        assert_close(machine.state()[name], np.asarray(expected[after]), name)


@pytest.mark.parametrize("gamma", [0.0, 0.4])
def test_what_is_seen_of_the_fast_array_damps(gamma: float) -> None:
    """The spec's determinant 1 - γ a h and trace 2 - (γ + b) a h of (W + γ A - W*, A)."""
    a, b, h = 0.03, 0.2, 1.5
    cell = {
        "model": "residual", "gamma": gamma, "fast_lr": a, "transfer_lr": b,
        "transfer_by_minibatch": False,
    }  # fmt: skip
    array = rpucc.Array("ideal", 1, 1, cell=cell, update={"pulsed": False})
    array.program([[0.7]])
    seen = []
    for _ in range(400):
        e = float(array.weights[0, 0])
        seen.append((e, float(array.planes["fast"].W[0, 0])))
        array.update([1.0], [h * e], 1.0)
    steps, results = np.array(seen[:-1]), np.array(seen[1:])
    matrix = np.linalg.lstsq(steps, results, rcond=None)[0].T
    assert np.linalg.det(matrix) == pytest.approx(1 - gamma * a * h, abs=2e-6)
    assert np.trace(matrix) == pytest.approx(2 - (gamma + b) * a * h, abs=2e-6)
