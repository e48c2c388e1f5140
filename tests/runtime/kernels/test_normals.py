"""Normals: equal to the reference draw for draw, and standard normal by every test we know."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from rpucc.runtime.kernels.normals import box_muller, fill_normals
from rpucc.runtime.kernels.philox import GROUP
from rpucc.runtime.reference import philox as reference

from ..bounds import correlation, deviations, kolmogorov_smirnov

WORD = st.integers(0, 2**32 - 1)
STREAM = 1 << 20  # draws of a stream
# Addresses (c1, c2, c3, key) of streams that differ in one field from the first, or in more.
ADDRESSES = [
    (0, 1 << 24, 0, (1, 0)), (1, 1 << 24, 0, (1, 0)), (0, 2 << 24, 0, (1, 0)),
    (0, 1 << 24 | 1, 0, (1, 0)), (0, 1 << 24, 1, (1, 0)), (0, 1 << 24, 0, (2, 0)),
    (0, 1 << 24, 0, (1, 1)), (2, 6 << 24 | 3, 59999, (1, 0)), (31, 7 << 24, 0, (0, 0)),
    (0, 3 << 24 | 7, 12345, (1, 0)),
]  # fmt: skip


def draw(first: int, n: int, c1: int, c2: int, c3: int, key: tuple[int, int]) -> np.ndarray:
    groups = (first % GROUP + n + GROUP - 1) // GROUP
    out = np.zeros(groups * GROUP, np.float32)
    fill_normals(out, first, n, c1, c2, c3, np.uint32(key[0]), np.uint32(key[1]))
    return out[first % GROUP :][:n]


@pytest.fixture(scope="module")
def streams() -> NDArray[np.float64]:
    """Ten streams, 1.05e7 draws in all."""
    return np.stack([draw(0, STREAM, *address) for address in ADDRESSES]).astype(np.float64)


@given(
    first=st.one_of(st.integers(0, 200), st.integers(0, 2**33)), n=st.integers(1, 300),
    c=st.tuples(WORD, WORD, WORD), key=st.tuples(WORD, WORD),
)  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_normals_equal_the_reference(
    first: int, n: int, c: tuple[int, int, int], key: tuple[int, int]
) -> None:
    expected = reference.normals(first + np.arange(n), *c, key)
    np.testing.assert_allclose(draw(first, n, *c, key), expected, rtol=0, atol=5e-6)


@numba.njit
def _pairs(a, b, out):  # type: ignore[no-untyped-def]
    for i in range(a.shape[0]):
        out[0, i], out[1, i] = box_muller(a[i], b[i])


@pytest.mark.parametrize("quarter", range(4))
def test_every_radius_and_every_angle(quarter: int) -> None:
    """All 2^24 radii at one angle and all 2^24 angles at one radius, against NumPy."""
    bits = (np.arange(1 << 22, dtype=np.uint32) + np.uint32(quarter << 22)) << np.uint32(8)
    out = np.empty((2, len(bits)), np.float32)
    _pairs(bits, np.zeros_like(bits), out)  # angle 0
    radius = np.sqrt(-2 * np.log(((bits >> 8) + 1) / 2.0**24))
    np.testing.assert_allclose(out[0], radius, rtol=1e-6, atol=1e-7)
    _pairs(np.full_like(bits, 1 << 31), bits, out)
    angle = np.pi * (bits.astype(np.int32) >> 8) / 2.0**23
    radius = np.sqrt(-2 * np.log(((1 << 23) + 1) / 2.0**24))
    np.testing.assert_allclose(out[0], radius * np.cos(angle), rtol=0, atol=1e-6)
    np.testing.assert_allclose(out[1], radius * np.sin(angle), rtol=0, atol=1e-6)


def moment_scores(z: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard errors by which the first four moments of z miss those of a standard normal.

    Var[z^k] = E[z^2k] - E[z^k]^2 = 1, 2, 15, 96 for k = 1 .. 4.
    """
    square = z * z
    means = np.array([z.mean(), square.mean(), (square * z).mean(), (square * square).mean()])
    return np.abs(means - [0, 1, 0, 3]) / np.sqrt(np.array([1, 2, 15, 96]) / z.size)


def ks_distance(z: NDArray[np.float64]) -> float:
    """The largest distance between the empirical distribution and the normal one."""
    p = ndtr(np.sort(z, axis=None))
    steps = np.arange(p.size + 1) / p.size
    return float(max(np.max(steps[1:] - p), np.max(p - steps[:-1])))


def test_moments(streams: NDArray[np.float64]) -> None:
    assert streams.size >= 10**7
    assert np.all(moment_scores(streams) < deviations(4))
    for stream in streams:
        assert np.all(moment_scores(stream) < deviations(4 * len(streams)))


def test_distribution(streams: NDArray[np.float64]) -> None:
    assert ks_distance(streams) < kolmogorov_smirnov(streams.size)


def test_tails(streams: NDArray[np.float64]) -> None:
    """Counts beyond 2, 3, 4 and 5 standard deviations, both sides, are Poisson around theirs."""
    n = streams.size
    for limit in (2.0, 3.0, 4.0, 5.0):
        for count in (np.sum(streams > limit), np.sum(streams < -limit)):
            expected = n * ndtr(-limit)
            assert abs(count - expected) < deviations(8) * np.sqrt(expected) + 1
    assert np.abs(streams).max() <= 5.77  # what the module's docstring says


def test_lag_correlation(streams: NDArray[np.float64]) -> None:
    """Neighbours, and the partners of Box-Muller's pairs at lags 16 and 48, also in their size."""
    lags = [1, 2, 3, 4, 15, 16, 17, 32, 48, 63, 64, 65, 128, 1024]
    for lag in lags:
        for values in (streams, streams**2):
            r, error = correlation(values[:, :-lag], values[:, lag:])
            assert abs(r) < deviations(2 * len(lags)) * error, lag


def test_cross_stream_correlation(streams: NDArray[np.float64]) -> None:
    pairs = np.triu_indices(len(streams), 1)
    bound = deviations(2 * len(pairs[0])) / np.sqrt(STREAM)
    for values in (streams, streams**2):
        assert np.all(np.abs(np.corrcoef(values)[pairs]) < bound)


def test_these_tests_reject_what_is_not_normal(streams: NDArray[np.float64]) -> None:
    """Faults of this size show: shifts of 0.2 and 0.3 %, a scale of 0.2 %, sums of uniforms."""
    z = streams.ravel()
    bound = deviations(4)
    assert np.any(moment_scores(z + 0.002) > bound)
    assert np.any(moment_scores(z * 1.002) > bound)
    uniforms = np.random.default_rng(1).random((12, STREAM), np.float32)
    irwin_hall = uniforms.sum(axis=0, dtype=np.float64) - 6
    assert np.any(moment_scores(irwin_hall) > bound)
    assert ks_distance(z + 0.003) > kolmogorov_smirnov(z.size)
