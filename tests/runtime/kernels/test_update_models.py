"""The compiled kernels of each device model and form: what their steps give, draw for draw."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.devices import Device, make_device

from ..tilings import Pulsing, Tiling, make_plane, plain_pulse, plain_step, pulse
from .test_pulse_counts import pulse as pulse_counted
from .test_pulse_counts import pulse_tile

TILING = Tiling((0, 4, 7), (0, 40, 139), first_tile=3)
MIRRORED = {"asymmetry": "one-sided", "consistency": "mirror"}
REFERRED = {"reference_std": 0.05, "subtract_symmetry_point": True, "corrupt_devices_prob": 0.1}
slow = pytest.mark.slow  # each compiles kernels of its own

MODELS = [
    pytest.param(make_device("exp-step", {**MIRRORED, **REFERRED}), id="exp"),
    pytest.param(make_device("pow-step", {"pow_gamma": 1.7, **REFERRED}), id="pow", marks=slow),
    pytest.param(
        make_device("piecewise-step", {"nodes_up": [2, 1, 0.5], "nodes_down": [0.5, 1, 3]}),
        id="piecewise", marks=slow,
    ),
    pytest.param(
        make_device("table-step", {"nodes_up": [2, 1, 0.5], "nodes_down": [0.5, 1, 3],
                                   "spreads_up": [1, 3, 0], "states": [5, 20, 30]}),
        id="table", marks=slow,
    ),
    pytest.param(
        make_device("soft-bounds", {"mult_noise": False, **MIRRORED, **REFERRED}), id="additive",
        marks=slow,
    ),
    pytest.param(make_device("linear-step", {"mean_bound_reference": True}), id="mean-bounds",
                 marks=slow),
    pytest.param(make_device("constant-step", {"reference_mean": 0.1}), id="constant", marks=slow),
]  # fmt: skip


def start() -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.3, 0.3, TILING.shape).astype(np.float32)


@pytest.mark.parametrize("device", MODELS)
@pytest.mark.parametrize("density", [0.05, 0.6])
def test_updates_equal_the_reference(device: Device, density: float) -> None:
    """As a list of devices, as whole rows, and (7 x 40) as unpacked ones."""
    rng = np.random.default_rng(1)
    X = rng.uniform(-1, 1, (4, TILING.shape[1])).astype(np.float32)
    X *= 2 * density * rng.uniform(size=X.shape) / np.abs(X)
    D = rng.uniform(-0.4, 0.4, (4, TILING.shape[0])).astype(np.float32)
    plane, how = make_plane(device, TILING, start()), Pulsing(0.01, 10, positions=4, chunk=4)
    W, pulses = plain_pulse(plane, X, D, how)
    before = plane.W.copy()
    assert pulse(plane, X, D, how) == pulses > 5
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=2e-6)
    assert np.abs(plane.W - before).max() > 1e-4


@slow
@pytest.mark.parametrize("device", MODELS)
def test_numbers_of_pulses_equal_the_reference(device: Device) -> None:
    plane = make_plane(device, TILING, start())
    counts, W = np.random.default_rng(4).integers(-7, 8, TILING.shape), plane.W.astype(float)
    for tile, rows, cols in TILING.blocks():
        key = int(plane.layout.key[0]), int(plane.layout.key[1])
        pulse_tile(
            W[rows, cols], counts[rows, cols], plain_step(plane, rows, cols), tile, 9, key, 0
        )
    pulse_counted(plane, counts, 0, 7, 0, 139, 0)
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=3e-6)
