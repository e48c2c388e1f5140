"""DACs that round by chance: the reference's draws, unbiased, and each tile's its own."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.read import PROBED_OUTPUTS, REREADS

from ..bounds import correlation, deviations
from ..stand import read_on
from ..tilings import Periphery, PlainRead, Tiling, plain_read, read_rows

TILING = Tiling((0, 4, 7, 8), (0, 70, 101), first_tile=3)
BITS, LEVELS = 5, 15
ONE = Tiling((0, 1), (0, 1))
UNIT = np.ones((1, 1), np.float32)


def inputs(tiling: Tiling, transpose: bool, rows: int = 12) -> np.ndarray:
    """Multiples of 2^-10 of which the largest of a segment is 1/2 or 1.

    So float32 and float64 see the same fractions of a step, whatever a read is scaled by.
    """
    rng = np.random.default_rng(2)
    cuts = tiling.row_cuts if transpose else tiling.col_cuts
    X = rng.integers(-511, 512, (rows, cuts[-1])) / 1024
    for c0 in cuts[:-1]:
        X[:, c0] = rng.choice([-1.0, -0.5, 0.5, 1.0], rows)
    X[3, :5] = X[5] = 0
    X[3, 0] = 0.5
    return X.astype(np.float32)


def assert_equal(found: tuple[np.ndarray, np.ndarray], plain: PlainRead) -> None:
    Y, statistics = found
    np.testing.assert_array_equal(statistics, plain.statistics)
    assert np.mean(plain.slack == 0) > 0.95
    assert np.all(np.abs(Y - plain.Y) <= 1e-5 * np.abs(plain.Y).max() + 1.001 * plain.slack)


@pytest.mark.parametrize(
    ("transpose", "managed", "halvings", "adc"),
    list(product((False, True), (False, True), (0, 3), (0, 9))),
)
def test_equals_the_reference(
    backend: Backend, transpose: bool, managed: bool, halvings: int, adc: int
) -> None:
    W = np.random.default_rng(1).uniform(-0.6, 0.6, TILING.shape).astype(np.float32)
    periphery = Periphery(0.06, 0.7, BITS, adc, managed, halvings, dac_stochastic=True)
    X = inputs(TILING, transpose)
    where = {"positions": 4, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    assert (plain.statistics[REREADS] > 0) == (halvings > 0)
    assert_equal(read_on(backend, W, X, TILING, periphery, **where), plain)
    nearest = Periphery(**{**vars(periphery), "dac_stochastic": False})
    other, _ = read_on(backend, W, X, TILING, nearest, **where)
    assert np.mean(np.abs(other - plain.Y) > 1e-3) > 0.5


def test_large_tiles_under_bound_management_equal_the_reference(backend: Backend) -> None:
    tiling = Tiling((0, PROBED_OUTPUTS + 9), (0, 9))
    W = np.random.default_rng(1).uniform(-0.1, 0.1, tiling.shape).astype(np.float32)
    periphery = Periphery(0.02, 0.3, BITS, 0, True, 3, dac_stochastic=True)
    X = inputs(tiling, transpose=False)
    plain = plain_read(W, X, tiling, periphery, positions=4)
    assert plain.statistics[REREADS] > 0
    assert_equal(read_on(backend, W, X, tiling, periphery, positions=4), plain)


def rounded(backend: Backend, x: float, n: int, tiling: Tiling = ONE, **how: int) -> np.ndarray:
    """DAC(x) of n reads, through weights of 1."""
    W, X = np.ones(tiling.shape, np.float32), np.full((n, 1), x, np.float32)
    Y, _ = read_on(
        backend, W, X, tiling, Periphery(dac_bits=BITS, dac_stochastic=True), positions=n, **how
    )
    return Y


@pytest.mark.parametrize("x", [0.31, -0.31, 0.99, -0.002, 0.5])
def test_unbiased_between_the_two_nearest_levels(backend: Backend, x: float) -> None:
    """A value f above a level is rounded up with probability f: mean x, variance f (1 - f)."""
    n = 20_000
    y = rounded(backend, x, n).ravel().astype(float)
    below = np.floor(x * LEVELS)
    np.testing.assert_allclose(np.unique(y), np.array([below, below + 1]) / LEVELS, atol=1e-6)
    f = x * LEVELS - below
    assert abs(y.mean() - x) < deviations() * np.sqrt(f * (1 - f) / n) / LEVELS


@pytest.mark.parametrize(("x", "level"), [(1, 1), (-1, -1), (7, 1), (-7, -1), (0, 0), (0.2, 0.2)])
def test_a_level_stays_and_what_is_beyond_is_clipped(
    backend: Backend, x: float, level: float
) -> None:
    y = rounded(backend, x, 2000)
    assert np.all(y == y[0, 0])
    assert y[0, 0] == pytest.approx(level, abs=1e-7)


def test_tiles_cycles_samples_and_seeds_round_on_their_own(backend: Backend) -> None:
    n = 4000
    tiles = rounded(backend, 0.31, n, Tiling((0, 1, 2), (0, 1)))
    streams = [tiles[:, 0], tiles[:, 1]]
    streams += [rounded(backend, 0.31, n, sample=1)[:, 0], rounded(backend, 0.31, n, seed=2)[:, 0]]
    streams += [rounded(backend, 0.31, n, evaluating=True)[:, 0]]
    streams += [rounded(backend, 0.31, n, transpose=True)[:, 0]]
    np.testing.assert_array_equal(streams[0], rounded(backend, 0.31, n)[:, 0])
    for i, a in enumerate(streams):
        for b in streams[:i]:
            found, error = correlation(a, b)
            assert abs(found) < deviations(15) * error


@pytest.mark.parametrize("transpose", [False, True])
def test_blocks_of_any_size_round_alike(transpose: bool) -> None:
    W = np.random.default_rng(1).uniform(-0.6, 0.6, TILING.shape).astype(np.float32)
    periphery = Periphery(0.06, 0.7, BITS, 9, True, 3, dac_stochastic=True)
    X = inputs(TILING, transpose)
    where = {"positions": 4, "sample": 7, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    for block in (12, 5):
        assert_equal(read_rows(W, X, TILING, periphery, block=block, **where), plain)
