"""The pulsed update against the plain statement, draw for draw.

Backends work in float32, the reference in float64, on the same draws: every pulse is the same,
and weights agree to the rounding of float32 (1e-6), a thousandth of one pulse.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.backend import Backend
from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.kernels.pulses import pulse_gains
from rpucc.runtime.reference.update import gains

from ..stand import check_pulses, pulse_on
from ..tilings import Pulsing, Tiling, make_plane, plain_pulse, pulse


class OneByOne(ConstantStep):
    """The same device, pulsed one by one as devices without a counted update are."""

    name = "one-by-one"
    counted = False


COUNTED = make_device("constant-step", {})
DEVICE = OneByOne()
NOISELESS = make_device("constant-step", {"dw_min_std": 0.0})
IDEAL = make_device("ideal", {"dw_min": 0.002})
LINEAR = make_device("linear-step", {"up_down_dtod": 0.2})
SOFT = make_device("soft-bounds", {"up_down_dtod": 0.2})
TILING = Tiling((0, 3, 7), (0, 4, 9, 11), first_tile=2)
POSITIONS, SAMPLES = 5, 3


def batch(seed: int = 1, tiling: Tiling = TILING, rows: int = POSITIONS * SAMPLES):
    """(X, D): of D, 2 of 3 entries are 0 as behind a max pool; also rows with X = 0 or D = 0."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.3, 1.3, (rows, tiling.shape[1])).astype(np.float32)
    D = rng.uniform(-0.8, 0.8, (rows, tiling.shape[0])).astype(np.float32)
    D[rng.random(D.shape) < 0.66] = 0
    X[rng.random(X.shape) < 0.2] = 0
    X[2 % rows] = 0
    D[3 % rows] = 0
    return X, D


def start(seed: int = 5, tiling: Tiling = TILING) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, tiling.shape).astype(np.float32)


@pytest.mark.parametrize("device", [COUNTED, DEVICE, LINEAR, SOFT], ids=lambda device: device.name)
@pytest.mark.parametrize("bl", [1, 10, 31, 40, 62, 70])
@pytest.mark.parametrize("managed", [0, 1, 2])
@pytest.mark.parametrize("bl_managed", [False, True])
def test_update_equals_the_reference(
    backend: Backend, device: Device, bl: int, managed: int, bl_managed: bool
) -> None:
    plane = make_plane(device, TILING, start(), seed=2**40 + 3)
    X, D = batch(bl)
    how = Pulsing(0.01, bl, managed, bl_managed, POSITIONS, sample=100)
    before = plane.W.copy()
    assert check_pulses(backend, plane, X, D, how) > 50
    assert np.mean(np.abs(plane.W - before) > 1e-4) > 0.5  # far more than what is tolerated


@pytest.mark.parametrize("bl", [1, 10, 31, 40, 62, 70])
def test_counting_a_few_positions_at_a_time_equals_the_reference(bl: int) -> None:
    plane = make_plane(COUNTED, TILING, start(), seed=2**40 + 3)
    X, D = batch(bl)
    how = Pulsing(0.01, bl, True, True, POSITIONS, sample=100, chunk=3)
    W, pulses = plain_pulse(plane, X, D, how)
    assert pulse(plane, X, D, how) == pulses > 50
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=2e-6)


# A narrow tile (rows pulsed often are unpacked), one that is wider, and rows and columns beyond
# 16 and 256, at the densities at which a slot is pulsed as a list and as a whole row.
@pytest.mark.parametrize("shape", [(3, 5), (18, 33), (2, 140), (3, 300)])
@pytest.mark.parametrize("density", [0.05, 0.6])
def test_every_way_to_apply_pulses_equals_the_reference(
    shape: tuple[int, int], density: float
) -> None:
    tiling = Tiling((0, shape[0]), (0, shape[1]), first_tile=3)
    rng = np.random.default_rng(shape[0])
    X = rng.uniform(-1, 1, (4, shape[1])).astype(np.float32)
    X *= 2 * density * rng.uniform(size=X.shape) / np.abs(X)
    D = rng.uniform(-0.4, 0.4, (4, shape[0])).astype(np.float32)
    for device, chunk in product((DEVICE, COUNTED, NOISELESS, SOFT), (1, 4)):
        plane = make_plane(device, tiling, start(1, tiling))
        how = Pulsing(0.01, 10, positions=4, chunk=chunk)
        W, pulses = plain_pulse(plane, X, D, how)
        assert pulse(plane, X, D, how) == pulses > 5
        np.testing.assert_allclose(plane.W, W, rtol=0, atol=2e-6)


def test_undecided_bytes_settle_with_24_bits(backend: Backend) -> None:
    """Probabilities whose top byte is met often: all of a tie's outcomes are the reference's."""
    tiling = Tiling((0, 20), (0, 45))
    plane = make_plane(IDEAL, tiling)
    X = np.full((4, 45), 0.5 + 0.7 / 256, np.float32)
    D = np.full((4, 20), 0.25 + 0.3 / 256, np.float32)
    how = Pulsing(0.02, 10, positions=4)  # Cx = Cd = 1
    pulses = check_pulses(backend, plane, X, D, how, atol=2e-5)
    expected = 4 * 10 * 20 * 45 * X[0, 0] * D[0, 0]
    # A slot's rows and columns are drawn once for all: 40 slots of (20, 45) lines: 4 sigma.
    assert abs(pulses / expected - 1) < 0.25


@pytest.mark.parametrize("device", [IDEAL, NOISELESS], ids=["ideal", "noiseless"])
def test_devices_without_pulse_noise(backend: Backend, device: Device) -> None:
    plane = make_plane(device, TILING, start())
    X, D = batch()
    assert check_pulses(backend, plane, X, D, Pulsing(positions=POSITIONS)) > 50


@pytest.mark.parametrize("model", [ConstantStep, OneByOne])
def test_weights_stop_at_their_bounds(backend: Backend, model: type[Device]) -> None:
    """Enough pulses in one direction drive every weight onto its own bound, as the reference."""
    device = model(dw_min=0.05, w_max=0.2, w_min=-0.3)
    plane = make_plane(device, TILING)
    X, D = np.ones((4, 11), np.float32), np.ones((4, 7), np.float32)
    D[:, ::2] = -1
    how = Pulsing(0.5, 10, positions=4)
    assert check_pulses(backend, plane, X, D, how) == 4 * 10 * 77  # probability 1 everywhere
    at_bound = np.where(D[0][:, None] < 0, plane.parameters[2], plane.parameters[3])
    np.testing.assert_allclose(plane.W, at_bound, rtol=0, atol=1e-7)


@pytest.mark.parametrize("device", [COUNTED, DEVICE, SOFT], ids=lambda device: device.name)
@pytest.mark.parametrize("spans", [(3,), (6, 9, 12)])
def test_a_span_after_the_other_gives_the_same_bits(device: Device, spans: tuple[int, ...]) -> None:
    """What lies between transfers of a cell: positions of a sample, in calls of their own."""
    X, D = batch(4)
    how = Pulsing(0.01, 10, True, False, POSITIONS, sample=100, chunk=3)
    whole, parts = (make_plane(device, TILING, start(), seed=3) for _ in range(2))
    assert pulse(whole, X, D, how) == pulse(parts, X, D, how, spans=spans) > 50
    np.testing.assert_array_equal(whole.W, parts.W)


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_chunks_and_row_ranges_give_the_same_bits(data: st.DataObject) -> None:
    def cuts() -> tuple[int, ...]:
        lengths = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=3))
        return (0, *np.cumsum(lengths).tolist())

    tiling = Tiling(cuts(), cuts(), data.draw(st.integers(0, 1000)))
    positions = data.draw(st.integers(1, 6))
    how = Pulsing(
        0.01, data.draw(st.integers(1, 31)), data.draw(st.booleans()), data.draw(st.booleans()),
        positions, sample=3, chunk=positions,
    )  # fmt: skip
    X, D = batch(data.draw(st.integers(0, 99)), tiling, positions * data.draw(st.integers(1, 3)))
    whole = make_plane(DEVICE, tiling)
    pulses = pulse(whole, X, D, how)
    rows = tiling.shape[0]
    borders = data.draw(st.lists(st.integers(1, rows), max_size=3, unique=True))
    cut = [0, *sorted(borders), rows]
    ranges = [(a, b) for a, b in pairwise(cut) if a < b]
    parts = make_plane(DEVICE, tiling)
    other = replace(how, chunk=data.draw(st.integers(1, 8)))
    assert pulse(parts, X, D, other, ranges[::-1]) == pulses
    np.testing.assert_array_equal(parts.W, whole.W)


def test_rows_outside_the_range_are_left_alone() -> None:
    plane = make_plane(DEVICE, TILING)
    X, D = np.ones((1, 11), np.float32), np.ones((1, 7), np.float32)
    pulse(plane, X, D, Pulsing(), [(2, 5)])
    changed = np.any(plane.W != 0, axis=1)
    np.testing.assert_array_equal(changed, [False, False, True, True, True, False, False])


def test_a_batch_equals_its_samples_one_by_one(backend: Backend) -> None:
    X, D = batch()
    how = Pulsing(positions=POSITIONS, sample=40)
    whole, single = make_plane(DEVICE, TILING), make_plane(DEVICE, TILING)
    pulses = pulse_on(backend, whole, X, D, how)
    for i in range(SAMPLES):
        rows = slice(i * POSITIONS, (i + 1) * POSITIONS)
        pulses -= pulse_on(backend, single, X[rows], D[rows], replace(how, sample=40 + i))
    assert pulses == 0
    np.testing.assert_array_equal(whole.W, single.W)


def test_other_samples_seeds_and_tiles_draw_other_pulses(backend: Backend) -> None:
    X, D = np.full((1, 11), 0.5, np.float32), np.full((1, 7), 0.5, np.float32)

    def change(sample: int = 0, seed: int = 1, first_tile: int = 2) -> np.ndarray:
        plane = make_plane(IDEAL, replace(TILING, first_tile=first_tile), seed=seed)
        pulse_on(backend, plane, X, D, Pulsing(sample=sample))
        return plane.W

    base = change()
    np.testing.assert_array_equal(base, change())
    for other in (change(sample=1), change(seed=2), change(seed=1 + 2**32), change(first_tile=9)):
        assert np.mean(base != other) > 0.3


def test_tiles_share_no_streams(backend: Backend) -> None:
    """Equal lines of two tiles of one plane fire in different slots."""
    tiling = Tiling((0, 6, 12), (0, 8, 16))
    plane = make_plane(IDEAL, tiling)
    pulse_on(
        backend,
        plane,
        np.full((1, 16), 0.5, np.float32),
        np.full((1, 12), 0.5, np.float32),
        Pulsing(),
    )
    tiles = [plane.W[r : r + 6, c : c + 8] for r in (0, 6) for c in (0, 8)]
    for i, a in enumerate(tiles):
        for b in tiles[:i]:
            assert np.mean(a != b) > 0.3


VALUES = st.floats(-1, 1, width=32)


@given(
    x=st.lists(VALUES, min_size=1, max_size=5), d=st.lists(VALUES, min_size=1, max_size=5),
    lr=st.floats(2**-13, 0.5, width=32), bl=st.integers(1, 31),
    managed=st.sampled_from((0, 1, 2)), bl_managed=st.booleans(),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_gains(
    x: list[float], d: list[float], lr: float, bl: int, managed: int, bl_managed: bool
) -> None:
    X, D = (np.where(np.abs(v) < 1e-6, 0, v).astype(np.float32) for v in (x, d))
    dw_min = np.float32(0.001)
    found = pulse_gains(X, D, np.float32(lr), dw_min, bl, managed, bl_managed)
    expected = gains(
        X.astype(float), D.astype(float), float(lr), float(dw_min), bl, managed, bl_managed
    )
    if expected[0] == 0:
        # Nothing can fire; without management the kernel need not look at x to know.
        assert found[0] == 0 or not (X.any() and D.any())
        return
    needed = lr * np.abs(X).max() * np.abs(D).max() / float(dw_min)
    if bl_managed and found[0] != expected[0]:  # float32 and float64 round a whole number apart
        assert abs(needed - round(needed)) < 1e-5 * needed
        assert abs(found[0] - expected[0]) == 1
        return
    np.testing.assert_allclose(found, expected, rtol=2e-6)
    # What management may not change: the mean, lr = BL dw_min Cx Cd.
    np.testing.assert_allclose(found[0] * dw_min * found[1] * found[2], lr, rtol=5e-6)


def test_management_by_hand() -> None:
    """x_max = 0.5, d_max = 0.02, lr = 0.01, dw_min = 0.001; k = sqrt(0.01 / (BL 0.001))."""
    x, d = np.array([0.5, -0.1], np.float32), np.array([0.02, 0, -0.01], np.float32)
    fixed = (x, d, np.float32(0.01), np.float32(0.001))
    np.testing.assert_allclose(pulse_gains(*fixed, 10, False, False), (10, 1, 1), rtol=1e-6)
    np.testing.assert_allclose(pulse_gains(*fixed, 10, True, False), (10, 0.2, 5), rtol=1e-6)
    # UBLM: ceil(0.01 * 0.5 * 0.02 / 0.001) = ceil(0.1) = 1, so k = sqrt(10).
    root = np.sqrt(10)
    np.testing.assert_allclose(pulse_gains(*fixed, 10, False, True), (1, root, root), rtol=1e-6)
    np.testing.assert_allclose(pulse_gains(*fixed, 10, True, True), (1, root / 5, root * 5), 1e-6)
    # 0.01 * 0.5 * 0.7 / 0.001 = 3.5 -> 4 slots, unless the limit is lower.
    big = (x, np.array([0.7], np.float32), *fixed[2:])
    assert pulse_gains(*big, 10, False, True)[0] == 4
    assert pulse_gains(*big, 3, False, True)[0] == 3
