"""Exact numbers of pulses: the compiled kernel against the plain statement, draw for draw."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.compiled import compile_pulse_counts
from rpucc.runtime.kernels import list_scratch as listed
from rpucc.runtime.kernels.generated import generated
from rpucc.runtime.kernels.list_scratch import list_scratch
from rpucc.runtime.kernels.update_arguments import Devices
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.pulses import pulse_tile

from ..tilings import Tiling, make_plane, plain_step

TILING = Tiling((0, 3, 7), (0, 70, 75, 139), first_tile=2)
DEVICES = {
    "ideal": make_device("ideal", {"dw_min": 0.002}),
    "constant-step": make_device("constant-step", {}),
    "constant-step without noise": make_device("constant-step", {"dw_min_std": 0.0}),
    "linear-step": make_device("linear-step", {"up_down_dtod": 0.2}),
    "soft-bounds": make_device("soft-bounds", {"up_down_dtod": 0.2}),
}
"""Packed ones, unpacked ones, such as count pulses in an update and such as do not."""


def some_counts(tiling: Tiling = TILING, most: int = 11) -> np.ndarray:
    """Half of the devices get none; -most .. most for the others."""
    rng = np.random.default_rng(4)
    return rng.integers(-most, most + 1, tiling.shape) * (rng.random(tiling.shape) < 0.5)


def start(tiling: Tiling = TILING) -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.5, 0.5, tiling.shape).astype(np.float32)


def pulse(plane: Plane, counts: np.ndarray, r0: int, r1: int, c0: int, c1: int, first: int) -> int:
    return compile_pulse_counts(plane.device)(
        r0, r1, c0, c1, plane.W, Devices(plane.codes, plane.ranges, plane.constants),
        counts[r0:r1, c0:c1].copy(), plane.layout.for_kernels, first, 9, *plane.layout.key,
        list_scratch(),
    )  # fmt: skip


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("first", [0, 1 << 20])
def test_pulses_equal_the_reference(device: Device, first: int) -> None:
    """Pulse i of element e of a tile has normal i % 4 of counter (e, i // 4)."""
    plane, counts = make_plane(device, TILING, start(), seed=2**40 + 3), some_counts()
    W, pulses = plane.W.astype(float), 0
    for tile, rows, cols in TILING.blocks():
        key = int(plane.layout.key[0]), int(plane.layout.key[1])
        step = plain_step(plane, rows, cols)
        pulses += pulse_tile(W[rows, cols], counts[rows, cols], step, tile, 9, key, first)
    before = plane.W.copy()
    assert pulse(plane, counts, 0, 7, 0, 139, first) == pulses == np.abs(counts).sum()
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(plane.W[counts == 0], before[counts == 0])
    assert np.mean(plane.W[counts != 0] != before[counts != 0]) > 0.95


@pytest.mark.parametrize("device", DEVICES.values(), ids=DEVICES)
def test_any_split_gives_the_same_bits(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of rows, of columns, and of what is pulsed side by side."""
    counts = some_counts()
    whole, parts = (make_plane(device, TILING, start()) for _ in range(2))
    total = pulse(whole, counts, 0, 7, 0, 139, 0)
    monkeypatch.setattr(listed, "LISTED", 3)
    split = [
        pulse(parts, counts, *rows, *columns, 0)
        for rows in pairwise((0, 2, 3, 7))
        for columns in pairwise((0, 1, 71, 139))
    ]
    assert sum(split) == total
    np.testing.assert_array_equal(parts.W, whole.W)


def test_pulses_are_exact_in_number() -> None:
    """Without noise n pulses are n steps of the device, up to its bound."""
    device = DEVICES["constant-step without noise"]
    plane, counts = make_plane(device, TILING), some_counts(most=2000)
    assert plane.pulse(counts, 0) == np.abs(counts).sum()
    up, down, w_max, w_min = plane.parameters
    expected = np.clip(np.where(counts > 0, counts * up, counts * down), w_min, w_max)
    np.testing.assert_allclose(plane.W, expected, rtol=0, atol=1e-4)


def test_pulses_of_samples_differ_and_repeat() -> None:
    device, counts = DEVICES["soft-bounds"], some_counts()
    weights = []
    for sample in (3, 3, 4):
        plane = make_plane(device, TILING, start())
        plane.pulse(counts, sample)
        weights.append(plane.W)
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.mean(weights[0][counts != 0] == weights[2][counts != 0]) < 0.1  # at their bounds


COLUMN_BY_COLUMN = """
from rpucc.runtime.kernels.jit import kernel

@kernel
def pulse_columns(W, devices, counts, layout, sample, k0, k1, scratch):
    total = 0
    for c in range(W.shape[1]):
        total += pulse_counts(
            2, 6, c, c + 1, W, devices, counts[2:6, c : c + 1], layout, 0, sample, k0, k1, scratch
        )
    return total
"""


def test_another_kernel_may_call_it() -> None:
    """A column at a time, as transfers need it: the same draws, rounded as that kernel does."""
    counts, device = some_counts(), DEVICES["soft-bounds"]
    whole, parts = (make_plane(device, TILING, start()) for _ in range(2))
    total = pulse(whole, counts, 2, 6, 0, 139, 0)
    kernels = {"pulse_counts": compile_pulse_counts(device)}
    made = generated("pulse_columns", COLUMN_BY_COLUMN, {}, "", kernels)
    found = made.pulse_columns(
        parts.W, Devices(parts.codes, parts.ranges, parts.constants), counts,
        parts.layout.for_kernels, 9, *parts.layout.key, list_scratch(),
    )  # fmt: skip
    assert found == total > 100
    np.testing.assert_allclose(parts.W, whole.W, rtol=0, atol=1e-6)
