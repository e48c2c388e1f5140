"""Bound management in two passes: the reference's answer, one re-read, and nothing saturates."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.read import FIRST_PROBE, PROBED_OUTPUTS, READS, REREADS, SATURATED

from ..stand import read_on
from ..tilings import Periphery, PlainRead, Tiling, plain_read, read_rows

TILING = Tiling((0, 4, 7, 8), (0, 30, 51), first_tile=3)
W_MAX, BOUND = 0.6, 1.5


def weights(tiling: Tiling = TILING) -> np.ndarray:
    rng = np.random.default_rng(1)
    return rng.uniform(-W_MAX, W_MAX, tiling.shape).astype(np.float32)


def inputs(tiling: Tiling, transpose: bool, rows: int = 12) -> np.ndarray:
    """Rows whose largest of each segment is a power of two.

    Noise management scales it to 1, of which half is a border of the DAC's rounding: so float32
    and float64 both hit it exactly.
    """
    rng = np.random.default_rng(2)
    cuts = tiling.row_cuts if transpose else tiling.col_cuts
    X = rng.uniform(-0.99, 0.99, (rows, cuts[-1])).astype(np.float32)
    for c0 in cuts[:-1]:
        X[:, c0] = rng.choice([-1, 1], rows)
    X[1] = 0
    X[2] /= 1024
    return X


def assert_equal(found: tuple[np.ndarray, np.ndarray], plain: PlainRead) -> None:
    Y, statistics = found
    np.testing.assert_array_equal(statistics, plain.statistics)
    allowed = 1e-5 * max(1.0, np.abs(plain.Y).max()) + 1.001 * plain.slack
    assert np.mean(plain.slack == 0) > 0.95
    assert np.all(np.abs(Y - plain.Y) <= allowed)


@pytest.mark.parametrize(
    ("transpose", "managed", "dac", "noise"),
    list(product((False, True), (False, True), (0, 7), (0.0, 0.06))),
)
def test_equals_the_reference(
    backend: Backend, transpose: bool, managed: bool, dac: int, noise: float
) -> None:
    bound = 0.7 if transpose else BOUND  # of fewer lines
    periphery = Periphery(noise, bound, dac, 9, managed, 1, W_MAX / bound)
    W, X = weights(), inputs(TILING, transpose)
    where = {"positions": 4, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    assert 0 < plain.statistics[REREADS] < plain.statistics[READS]
    assert plain.statistics[SATURATED] == 0
    assert_equal(read_on(backend, W, X, TILING, periphery, **where), plain)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_large_tiles_equal_the_reference(backend: Backend, noise: float) -> None:
    """Reads that saturate in the first block of outputs, in a later one, and not at all."""
    tiling = Tiling((0, PROBED_OUTPUTS + 9), (0, 9))
    W = np.random.default_rng(1).uniform(-0.02, 0.02, tiling.shape).astype(np.float32)
    W[3, 0] = W[FIRST_PROBE + 5, 1] = W_MAX
    X = np.random.default_rng(2).uniform(-0.1, 0.1, (12, 9)).astype(np.float32)
    X[:, 0], X[:, 1] = [0.9, 0, 0] * 4, [0, 0.9, 0] * 4
    periphery = Periphery(noise, 0.3, 0, 0, True, 1, W_MAX / 0.3)
    plain = plain_read(W, X, tiling, periphery, positions=4)
    assert plain.statistics[READS] == 12
    assert plain.statistics[REREADS] >= 8
    Y, statistics = read_on(backend, W, X, tiling, periphery, positions=4)
    np.testing.assert_array_equal(statistics, plain.statistics)
    np.testing.assert_allclose(Y, plain.Y, rtol=0, atol=1e-5 * np.abs(plain.Y).max())


def test_the_worst_case_itself_just_fits(backend: Backend) -> None:
    """All |w| at their limit and all signs alike: one re-read ends a rounding below the bound."""
    tiling = Tiling((0, 1), (0, 40))
    W, X = np.full((1, 40), W_MAX, np.float32), np.ones((1, 40), np.float32)
    Y, statistics = read_on(
        backend, W, X, tiling, Periphery(bound=BOUND, max_halvings=1, worst_case=0.4)
    )
    assert list(statistics)[REREADS] == 1
    assert Y[0, 0] == pytest.approx(24, rel=1e-5)
    halved, tally = read_on(backend, W, X, tiling, Periphery(bound=BOUND, max_halvings=1))
    assert list(tally) == [1, 1, 1]  # one halving is not enough
    assert halved[0, 0] == 2 * BOUND


def test_weights_beyond_the_assumed_size_are_read_at_half_the_input_at_least(
    backend: Backend,
) -> None:
    tiling = Tiling((0, 1), (0, 1))
    W, X = np.full((1, 1), 2.0, np.float32), np.ones((1, 1), np.float32)
    for assumed, expected in ((0.1, 2.0), (1.2, 2.0), (6.0, 2.0)):
        how = Periphery(bound=1.5, max_halvings=1, worst_case=assumed / 1.5)
        Y, statistics = read_on(backend, W, X, tiling, how)
        assert list(statistics) == [1, 0, 1]
        assert Y[0, 0] == pytest.approx(expected)


@pytest.mark.parametrize("block", [12, 5])
def test_blocks_of_any_size_equal_the_reference(block: int) -> None:
    periphery = Periphery(0.06, BOUND, 7, 9, True, 1, W_MAX / BOUND)
    W, X = weights(), inputs(TILING, transpose=False)
    plain = plain_read(W, X, TILING, periphery, positions=4)
    assert_equal(read_rows(W, X, TILING, periphery, positions=4, block=block), plain)
