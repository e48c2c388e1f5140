"""`update.pulsed = "rank-1"`: exact outer products, cut to the bounds of devices."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc import Array
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import state_bytes
from rpucc.runtime.reference.clipped import clipped_update
from rpucc.runtime.trainer import Trainer

from .test_cells_machine import AGAD, VECTORS, data, tiny

RANK_1 = {"pulsed": "rank-1"}
DEVICE = {"model": "soft-bounds", "w_max": 0.3, "w_min": -0.2, "write_noise_std": 5.0}


def test_an_update_is_that_of_the_formula() -> None:
    """On tiles, vector by vector; of devices that it does not move the noise stays."""
    array = Array(DEVICE, 5, 19, update=RANK_1, row_cuts=(0, 2, 5), col_cuts=(0, 7, 19))
    random = np.random.default_rng(1)
    x, d = (np.float32(random.uniform(-1, 1, (6, n))).astype(float) for n in (19, 5))
    x[:, 4], d[:, 2] = 0, 0
    plane = array.main
    W, (low, high) = plane.W.astype(float), plane.bounds.astype(float)
    before = array.weights - plane.W
    for row, error in zip(x, d, strict=True):
        clipped_update(W, row, error, float(np.float32(0.2)), low, high)
    assert array.update(x, d, 0.2) == 0
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=1e-6)
    assert np.any(low == W)
    assert np.any(high == W)
    stays = (np.arange(5)[:, None] == 2) | (np.arange(19) == 4)
    np.testing.assert_array_equal(array.weights - plane.W == before, stays)


MIXED = "cell.model=mixed-precision", "cell.granularity=0.001"


@pytest.mark.parametrize(
    "cell", [(), VECTORS, MIXED, AGAD], ids=["plain", "tiki-taka", "mixed", "agad"]
)
def test_within_wide_bounds_a_training_is_exact(cell: tuple[str, ...]) -> None:
    """Transfers too; and where weights are fixed, or on any threads."""
    found = []
    wide = "device.w_max=1e5", "device.w_min=-1e5", "cell.shift_fast=false"
    wide = wide[: 3 if cell is VECTORS else 2]
    for pulsed, threads in (("rank-1", 1), ("rank-1", 3), ("false", 1)):
        program = tiny(*cell, *wide, f"update.pulsed={pulsed}")
        machine = Machine(program, seed=1)
        array = machine.arrays["c.W"]
        for plane in array.planes.values() if not cell else ():
            plane.mask = np.random.default_rng(0).random(array.weights.shape) < 0.5
        start = array.weights.copy()
        Trainer(machine, threads).fit(data(), epochs=1, batch_size=7, lr=0.5)
        assert np.abs(array.weights - start).max() > 1e-3
        found.append(machine.state())
    for name, held in found[0].items():
        np.testing.assert_array_equal(held, found[1][name], err_msg=name)
        np.testing.assert_allclose(held, found[2][name], rtol=0, atol=1e-5, err_msg=name)


def test_state_bytes_are_those_of_the_machine() -> None:
    program = tiny("update.pulsed=rank-1")
    machine = Machine(program)
    ranges = sum(p.ranges.nbytes for a in machine.arrays.values() for p in a.planes.values())
    assert state_bytes(program) == pytest.approx(
        machine.bytes_per_weight * machine.weights - ranges
    )
