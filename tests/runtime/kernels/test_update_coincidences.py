"""Counting pulses and pulsing one by one give the same distribution, near the bounds too.

Every tile of a plane is one trial. Half of the devices start in the middle of their range, half so
close to a bound that some of their pulses meet it. Two-sample Kolmogorov-Smirnov statistics and
means over `TRIALS` tiles; bounds are those of all comparisons together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from numpy.typing import NDArray

from rpucc.runtime.backend import Backend
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.constant_step import ConstantStep

from ..bounds import deviations
from ..stand import pulse_on
from ..tilings import Pulsing, Tiling, make_plane, pulse

TRIALS = 8000
PARAMETERS = {
    "dw_min": 0.004, "dw_min_std": 0.5, "dw_min_dtod": 0.0, "up_down": 0.2, "up_down_dtod": 0.0,
    "w_max": 0.2, "w_max_dtod": 0.0, "w_min": -0.1, "w_min_dtod": 0.0,
}  # fmt: skip
# Both signs of x and d, and positions that agree and disagree: pulses go both ways.
X = np.array([[0.9, -0.6, 0.4], [0.5, 0.7, -0.9], [-0.2, 0.8, 0.6]], np.float32)
D = np.array([[0.7, -0.5], [-0.6, -0.4], [0.3, 0.9]], np.float32)
START = np.array([[0.0, 0.19, -0.088], [-0.09, 0.05, 0.19]], np.float32)
HOW = Pulsing(0.04, 10, positions=3, chunk=3)


class OneByOne(ConstantStep):
    name = "one-by-one"
    counted = False


Run = Callable[..., int]
"""`pulse`, or `pulse_on` of a backend: what updates a plane."""


def final_weights(
    device: Device, how: Pulsing, positions: int, run: Run = pulse
) -> NDArray[np.float64]:
    """[TRIALS, devices]: the weights of all tiles after the first positions of X and D."""
    rows, columns = START.shape
    tiling = Tiling(tuple(range(0, TRIALS * rows + 1, rows)), (0, columns))
    plane = make_plane(device, tiling, np.tile(START, (TRIALS, 1)), seed=11)
    how = replace(how, positions=positions, chunk=min(how.chunk, positions))
    run(plane, X[:positions], np.tile(D[:positions], TRIALS), how)
    return plane.W.reshape(TRIALS, rows * columns).astype(np.float64)


def distances(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Kolmogorov-Smirnov statistic of each device, times sqrt(trials / 2)."""
    result = []
    for u, v in zip(a.T, b.T, strict=True):
        u, v = np.sort(np.round(u, 6)), np.sort(np.round(v, 6))
        both = np.union1d(u, v)
        gap = np.searchsorted(u, both, side="right") - np.searchsorted(v, both, side="right")
        result.append(np.abs(gap).max() / TRIALS * np.sqrt(TRIALS / 2))
    return np.array(result)


def mean_gaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """How many standard errors the means of each device are apart."""
    error = np.sqrt((a.var(axis=0) + b.var(axis=0)) / TRIALS)
    gap = np.abs(a.mean(axis=0) - b.mean(axis=0))
    return np.where(error > 0, gap / np.maximum(error, 1e-12), np.where(gap < 1e-7, 0, np.inf))


def ks_bound(comparisons: int) -> float:
    """sqrt(n m / (n + m)) D exceeds t with probability 2 exp(-2 t²); 1 in 10,000 in all."""
    return float(np.sqrt(-0.5 * np.log(1e-4 / comparisons / 2)))


# One position (all pulses of a device go one way) and all three; 31 slots need two words of bits,
# 40 two trains.
CASES = [(HOW, 1), (HOW, 3), (replace(HOW, bl=31, lr=0.1), 1), (replace(HOW, bl=40, lr=0.1), 1)]


@pytest.mark.parametrize(("how", "positions"), CASES)
@pytest.mark.parametrize("noise", [0.5, 0.0])
def test_same_distribution_as_one_by_one(
    backend: Backend, how: Pulsing, positions: int, noise: float
) -> None:
    """However a backend pulses them, devices of constant step end where the plain pulses lead."""
    check_same_distribution(how, positions, noise, partial(pulse_on, backend))


# Three positions in chunks of two, and a chunk for each train.
CHUNKS = [(replace(HOW, chunk=2), 3), (replace(HOW, bl=40, lr=0.1, chunk=1), 1)]


@pytest.mark.parametrize(("how", "positions"), CHUNKS)
@pytest.mark.parametrize("noise", [0.5, 0.0])
def test_same_distribution_by_the_chunk(how: Pulsing, positions: int, noise: float) -> None:
    check_same_distribution(how, positions, noise, pulse)


def check_same_distribution(how: Pulsing, positions: int, noise: float, run: Run) -> None:
    parameters = {**PARAMETERS, "dw_min_std": noise}
    counted = final_weights(ConstantStep(**parameters), how, positions, run)
    plain = final_weights(OneByOne(**parameters), replace(how, sample=1, chunk=1), positions)
    assert np.median(np.std(counted, axis=0)) > 0.001
    assert distances(counted, plain).max() < ks_bound(START.size)
    assert mean_gaps(counted, plain).max() < deviations(START.size)
    bounds = np.isclose(counted, 0.2, atol=1e-6) | np.isclose(counted, -0.1, atol=1e-6)
    assert 0.02 < bounds.mean() < 0.6  # devices that met a bound, and devices that did not


def test_these_tests_reject_a_clip_at_the_end_only() -> None:
    """Adding all pulses first and clipping afterwards is another distribution, and is seen."""
    wide = {**PARAMETERS, "w_max": 10.0, "w_min": -10.0}
    free = final_weights(ConstantStep(**wide), HOW, 3)
    clipped = np.clip(free, -0.1, 0.2)
    plain = final_weights(OneByOne(**PARAMETERS), replace(HOW, sample=1), 3)
    assert distances(clipped, plain).max() > 1.5 * ks_bound(START.size)


def test_these_tests_reject_noise_of_another_size() -> None:
    counted = final_weights(ConstantStep(**{**PARAMETERS, "dw_min_std": 0.2}), HOW, 3)
    plain = final_weights(OneByOne(**PARAMETERS), replace(HOW, sample=1), 3)
    assert distances(counted, plain).max() > ks_bound(START.size)


def test_a_step_of_its_own_is_not_counted() -> None:
    """What holds for the constant step need not hold for a subclass that replaces it."""

    class Other(ConstantStep):
        name = "other"

        @staticmethod
        def step(w, direction, noise, dw_up, dw_down, w_max, w_min, dw_min_std):  # type: ignore[no-untyped-def, override]
            return w + direction * dw_up * (1 - w)

    assert ConstantStep.counted
    assert not Other.counted
    assert not Other().counted
