"""Numbers of pulses without chance: mean counts and deterministic implicit pulses."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rpucc import Array
from rpucc.runtime.kernels.pulses import pulse_gains
from rpucc.runtime.machine import Machine
from rpucc.runtime.reference.pulse_numbers import implicit, mean_counts
from rpucc.runtime.reference.pulses import pulse_tile
from rpucc.runtime.trainer import Trainer

from .test_cells_machine import VECTORS, data, tiny
from .tilings import plain_step

ROWS, COLUMNS, SEED = (0, 2, 5), (0, 7, 19), 3
KEY = (SEED, 0)
LR, DW_MIN = 0.05, 0.004

WAYS: dict[str, dict[str, Any]] = {
    "mean counts": {"pulses": "mean-count"},
    "mean counts, many": {"pulses": "mean-count", "bl": 200},
    "mean counts, UBLM": {
        "pulses": "mean-count", "update_bl_management": True, "update_management": True,
    },
    "implicit": {"pulses": "deterministic-implicit", "update_management": True},
    "implicit, rounded": {
        "pulses": "deterministic-implicit", "x_res_implicit": 0.1, "d_res_implicit": 0.25,
    },
    "implicit, x rounded": {"pulses": "deterministic-implicit", "x_res_implicit": 0.5, "bl": 31},
}  # fmt: skip


def numbers(way: dict[str, Any], x: np.ndarray, d: np.ndarray, dw_min: float) -> np.ndarray:
    """The pulses of each device, by the plain statement."""
    managed = way.get("update_management", False), way.get("update_bl_management", False)
    bl, cx, cd = pulse_gains(x, d, np.float32(LR), np.float32(dw_min), way.get("bl", 10), *managed)
    if way["pulses"] == "mean-count":
        return mean_counts(x, d, bl, cx, cd) if bl else np.zeros((len(d), len(x)), int)
    x_levels, d_levels = (
        round(1 / way[key]) if key in way else 1 << 24
        for key in ("x_res_implicit", "d_res_implicit")
    )
    return implicit(x, d, bl, cx, cd, x_levels, d_levels)


def vectors(count: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    x, d = (np.float32(random.uniform(-1, 1, (count, n))) for n in (19, 5))
    x[:, 4], d[:, 2], d[1:2] = 0, 0, 0
    x[0, :3], d[0, 0] = (0.5, 0.25, 1), 0.5  # ties
    return x, d


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_numbers_are_those_of_the_formula_bit_for_bit(way: dict[str, Any]) -> None:
    """Devices of equal steps count them."""
    for rate in (2.0**-8, 0.004):
        array = Array({"model": "ideal", "dw_min": rate}, 5, 19, seed=SEED, update=way)
        x, d = vectors(6)
        total = 0
        for m in range(len(x)):
            before = array.weights.astype(float)
            expected = numbers(way, x[m], d[m], rate)
            assert array.update(x[m], d[m], LR) == np.abs(expected).sum()
            found = (array.weights - before) / rate
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
            total += int(np.abs(expected).sum())
        assert total > 50


def test_ties_are_rounded_up() -> None:
    assert mean_counts(np.ones(2), np.array([0.5]), 1, 1.0, 1.0).tolist() == [[-1, -1]]
    assert mean_counts(np.array([0.5, 0.3]), -np.ones(1), 3, 1.0, 0.5).tolist() == [[1, 1]]
    assert implicit(np.array([0.5, 0.49]), -np.ones(1), 5, 1.0, 1.0, 100, 2).tolist() == [[3, 2]]


def test_pulses_are_those_of_the_plain_statement() -> None:
    """Draw for draw on tiles, several positions and samples, through each device's own step."""
    device = {"model": "constant-step", "dw_min": DW_MIN, "w_max": 0.3, "w_min": -0.2}
    way = WAYS["implicit"]
    array = Array(device, 5, 19, seed=SEED, update=way, row_cuts=ROWS, col_cuts=COLUMNS)
    x, d = vectors(6)
    W, plane = array.weights.astype(float), array.main
    pulses = 0
    for m in range(6):
        counts = numbers(way, x[m], d[m], DW_MIN)
        for b, rows in enumerate(slice(*cuts) for cuts in pairwise(ROWS)):
            for s, cols in enumerate(slice(*cuts) for cuts in pairwise(COLUMNS)):
                pulses += pulse_tile(
                    W[rows, cols], counts[rows, cols], plain_step(plane, rows, cols),
                    int(plane.layout.tiles[b, s]), m // 3, KEY, m % 3 * 12,
                )  # fmt: skip
    assert array.update(x.reshape(2, 3, 19), d.reshape(2, 3, 5), LR) == pulses > 100
    np.testing.assert_allclose(array.weights, W, rtol=0, atol=2e-6)


def test_written_devices_are_marked() -> None:
    way = WAYS["mean counts"]
    array = Array({"model": "ideal", "write_noise_std": 5.0}, 5, 19, seed=SEED, update=way)
    x, d = vectors(1)
    before = array.weights - array.main.W
    array.update(x, d, LR)
    written = numbers(way, x[0], d[0], 0.001) != 0
    np.testing.assert_array_equal(array.weights - array.main.W != before, written)


@pytest.mark.parametrize("cell", [(), VECTORS], ids=["plain", "tiki-taka"])
def test_a_training_is_the_same_on_any_threads(cell: tuple[str, ...]) -> None:
    program = tiny(*cell, "update.pulses=mean-count", "update.bl=40")
    found = []
    for threads in (1, 3):
        machine = Machine(program, seed=1)
        plane = [*machine.arrays["c.W"].planes.values()][-1]
        before = plane.W.copy()
        Trainer(machine, threads).fit(data(), epochs=1, batch_size=7, lr=0.5)
        assert np.any(before != plane.W)
        found.append(machine.state())
    for name, held in found[0].items():
        np.testing.assert_array_equal(held, found[1][name], err_msg=name)


def test_weights_that_a_mask_fixes_get_no_pulses() -> None:
    machine = Machine(tiny("update.pulses=mean-count"), seed=1)
    array = machine.arrays["c.W"]
    array.main.mask = np.random.default_rng(0).random(array.weights.shape) < 0.5
    before = array.weights.copy()
    Trainer(machine).fit(data(), epochs=1, batch_size=7, lr=0.5)
    moved = array.weights != before
    assert not np.any(moved & ~array.main.mask)
    assert np.mean(moved[array.main.mask]) > 0.3
