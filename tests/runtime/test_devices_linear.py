"""Linear-step and soft-bounds devices: steps, spreads, symmetry points, devices seen shifted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.constant_step import FLOOR, ConstantStep
from rpucc.runtime.devices.linear_step import LinearStep
from rpucc.runtime.devices.soft_bounds import SoftBounds

from .bounds import correlation, deviations
from .tilings import Pulsing, Tiling, make_plane, plain_pulse, pulse

SHAPE = (400, 300)
N = SHAPE[0] * SHAPE[1]
UP, SLOPE_UP, DOWN, SLOPE_DOWN, W_MAX, W_MIN = range(6)


def normals(seed: int = 1, shape: tuple[int, int] = SHAPE) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda: rng.standard_normal(shape, np.float32)


def gammas(values: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    """γ+ and γ- of every device, from its lines."""
    up, slope_up, down, slope_down, w_max, w_min = values
    return -slope_up * w_max / up, -slope_down * w_min / down


UNIT = st.floats(0, 1)


@given(
    a_up=st.floats(0.001, 0.1), a_down=st.floats(0.001, 0.1), gamma_up=UNIT, gamma_down=UNIT,
    w_max=st.floats(0.1, 2), w_min=st.floats(-2, -0.1), at=UNIT, noise=st.floats(-4, 4),
)  # fmt: skip
@settings(max_examples=200, deadline=None)
def test_step_against_the_formula(
    a_up: float, a_down: float, gamma_up: float, gamma_down: float, w_max: float, w_min: float,
    at: float, noise: float,
) -> None:  # fmt: skip
    """Δw± = ±a± (1 - γ± w / bound)(1 + std ξ), clipped, anywhere between the bounds."""
    w, std = w_min + at * (w_max - w_min), 0.3
    lines = (a_up, -gamma_up * a_up / w_max, a_down, -gamma_down * a_down / w_min, w_max, w_min)
    up = a_up * (1 - gamma_up * w / w_max) * (1 + std * noise)
    down = -a_down * (1 - gamma_down * w / w_min) * (1 + std * noise)
    for direction, change in ((1, up), (-1, down)):
        found = LinearStep.step(w, direction, noise, *lines, std)
        assert found == pytest.approx(np.clip(w + change, w_min, w_max), abs=1e-12)


def test_soft_bounds_have_no_step_left_at_their_bound() -> None:
    device = make_device("soft-bounds", {"dw_min_std": 0.0})
    values = device.fabricate(normals(shape=(1, 1)))
    one = [float(value[0, 0]) for value in values]
    assert SoftBounds.step(one[W_MAX], 1, 0, *one, 0) == pytest.approx(one[W_MAX])
    assert SoftBounds.step(one[W_MIN], -1, 0, *one, 0) == pytest.approx(one[W_MIN])
    assert SoftBounds.step(one[W_MIN], 1, 0, *one, 0) > one[W_MIN] + one[UP]  # far from the bound


def test_fabricated_means_and_spreads() -> None:
    """Steps and bounds as of a constant-step device; slopes within sampling error.

    γ is a normal of mean 0.5 and spread 0.1 here: 0 and 1 lie five standard deviations away.
    """
    values = LinearStep(gamma_up_dtod=0.2, gamma_down_dtod=0.2).fabricate(normals())
    for index, mean in ((UP, 0.001), (DOWN, 0.001), (W_MAX, 0.6), (W_MIN, -0.6)):
        assert values[index].dtype == np.float32
        assert abs(values[index].mean() / mean - 1) < 0.3 * deviations(4) / np.sqrt(N) + 1e-4
        assert (
            abs(values[index].std() / abs(mean) / 0.3 - 1) < deviations(4) / np.sqrt(2 * N) + 5e-3
        )
    for gamma in gammas(values):
        assert abs(gamma.mean() - 0.5) < 0.1 * deviations(2) / np.sqrt(N)
        assert abs(gamma.std() / 0.1 - 1) < deviations(2) / np.sqrt(2 * N)
    independent = [values[UP] + values[DOWN], values[W_MAX], values[W_MIN], *gammas(values)]
    for i, a in enumerate(independent):
        for b in independent[:i]:
            r, error = correlation(a, b)
            assert abs(r) < deviations(10) * error


def test_slopes_stay_between_none_and_all() -> None:
    """Half of the slopes of a wide spread about 1 are cut to 1, a few to 0."""
    values = LinearStep(gamma_up=1.0, gamma_up_dtod=0.5).fabricate(normals())
    up, _ = gammas(values)
    assert up.min() == 0
    assert up.max() == pytest.approx(1, abs=1e-5)
    for share, expected in ((np.mean(up > 0.9999), 0.5), (np.mean(up <= 0), 0.02275)):
        error = np.sqrt(expected * (1 - expected) / N)
        assert abs(share - expected) < deviations(2) * error + 1e-3


def test_soft_bounds_are_linear_steps_of_slope_one() -> None:
    same = {"gamma_up": 1.0, "gamma_up_dtod": 0.0, "gamma_down": 1.0, "gamma_down_dtod": 0.0}
    spread = {"up_down_dtod": 0.3, "w_max": 0.5}
    linear = LinearStep(**same, **spread).fabricate(normals())
    for a, b in zip(SoftBounds(**spread).fabricate(normals()), linear, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "gamma_up" not in SoftBounds.defaults


def test_floors() -> None:
    values = SoftBounds(dw_min_dtod=2.0, w_max_dtod=2.0).fabricate(normals())
    assert values[UP].min() == pytest.approx(0.001 * FLOOR, rel=0.1)  # times 1 ± β of the device
    assert values[W_MAX].min() == pytest.approx(0.6 * FLOOR, rel=1e-6)
    assert np.all(values[SLOPE_UP] < 0)
    assert np.all(values[SLOPE_DOWN] > 0)


def test_symmetry_point_by_hand() -> None:
    """w* = (a+ - a-) / (a+ / w_max - a- / w_min): 0.01 / (0.03 / 0.5 + 0.02 / 0.4) = 1 / 11."""
    lines = [0.03, -0.03 / 0.5, 0.02, 0.02 / 0.4, 0.5, -0.4]
    fabricated = tuple(np.full((1, 1), value, np.float32) for value in lines)
    (point,) = SoftBounds().symmetry_point(fabricated).ravel()
    assert point == pytest.approx(1 / 11)
    assert SoftBounds.step(point, 1, 0, *lines, 0) - point == pytest.approx(
        point - SoftBounds.step(point, -1, 0, *lines, 0)
    )


def test_symmetry_points_of_parallel_lines_are_numbers() -> None:
    """γ = 0: the stronger direction wins, up to the bound; equal steps cancel at 0 too."""
    flat = LinearStep(gamma_up=0, gamma_down=0, up_down_dtod=0.2)
    values = flat.fabricate(normals())
    expected = np.where(values[UP] > values[DOWN], values[W_MAX], values[W_MIN])
    np.testing.assert_array_equal(flat.symmetry_point(values), expected)
    even = LinearStep(gamma_up=0, gamma_down=0, up_down_dtod=0)
    assert not even.symmetry_point(even.fabricate(normals())).any()


def test_constant_steps_have_no_symmetry_point() -> None:
    assert ConstantStep().symmetry_point(ConstantStep().fabricate(normals())) is None


@pytest.mark.parametrize("model", ["linear-step", "soft-bounds"])
def test_a_shifted_device_does_the_same_elsewhere(model: str) -> None:
    device = make_device(model, {"up_down_dtod": 0.3})
    values = device.fabricate(normals(shape=(5, 7)))
    rng = np.random.default_rng(0)
    reference = rng.uniform(-0.3, 0.3, (5, 7)).astype(np.float32)
    moved = device.shifted(values, reference)
    for at in np.ndindex(5, 7):
        w, noise = rng.uniform(-0.3, 0.3), rng.normal()
        for direction in (1, -1):
            here = device.step(w, direction, noise, *(float(v[at]) for v in moved), 0.3)
            there = device.step(
                w + reference[at], direction, noise, *(float(v[at]) for v in values), 0.3
            )
            assert here == pytest.approx(there - reference[at], abs=1e-7)
    np.testing.assert_allclose(
        device.symmetry_point(moved), device.symmetry_point(values) - reference, atol=2e-6
    )


@pytest.mark.parametrize("model", ["linear-step", "soft-bounds"])
def test_the_compiled_update_leads_to_the_symmetry_point(model: str) -> None:
    """Up and down pulses in turn, without noise: within two steps of w*, from any start."""
    parameters = {"dw_min_std": 0.0, "up_down_dtod": 0.2, "dw_min": 0.02, "w_max_dtod": 0.1}
    device = make_device(model, {**parameters, "w_min_dtod": 0.1})
    start = np.random.default_rng(1).uniform(-0.5, 0.5, (8, 8)).astype(np.float32)
    plane = make_plane(device, Tiling((0, 8), (0, 8)), start)
    X, D = np.ones((800, 8), np.float32), np.ones((800, 8), np.float32)
    D[1::2] = -1
    pulse(plane, X, D, Pulsing(lr=0.02, bl=1, positions=800))  # every line fires in every slot
    point = device.symmetry_point(tuple(plane.parameters))
    assert point is not None
    assert np.abs(plane.W - point).max() < 2 * plane.parameters[[UP, DOWN]].max()
    assert np.abs(point).max() > 0.2


@pytest.mark.parametrize("model", ["linear-step", "soft-bounds"])
def test_weights_stay_within_their_bounds(model: str) -> None:
    device = make_device(model, {"dw_min": 0.05, "dw_min_std": 1.0})
    plane = make_plane(device, Tiling((0, 7), (0, 11)))
    X, D = np.ones((4, 11), np.float32), np.ones((4, 7), np.float32)
    D[:, ::2] = -1
    how = Pulsing(0.5, 10, positions=4)
    W, pulses = plain_pulse(plane, X, D, how)
    assert pulse(plane, X, D, how) == pulses == 4 * 10 * 77  # probability 1 everywhere
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=1e-5)
    low, high = device.weight_range(tuple(plane.parameters))
    rounding = 1e-7  # of a packed bound, which the kernel and NumPy unpack
    assert np.all((low - rounding <= plane.W) & (high + rounding >= plane.W))
    assert np.any(np.abs(plane.W - high) <= rounding)
    assert np.mean(np.sign(plane.W) == -np.sign(D[0])[:, None]) > 0.9
