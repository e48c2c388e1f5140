"""Reads of tiles with many outputs under bound management: a block of outputs at a time.

Rows that saturate in the first block, in later ones, at no scale, at the last scale too, and rows
of zeros: each equals the plain statement draw for draw, with the same statistics.
"""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.read import (
    FEW,
    FIRST_PROBE,
    NEXT_PROBE,
    PROBED_OUTPUTS,
    READS,
    REREADS,
    SATURATED,
)

from ..stand import read_on
from ..tilings import Periphery, PlainRead, Tiling, plain_read, read_rows

OUTPUTS = FIRST_PROBE + 2 * NEXT_PROBE + 100
INPUTS = 9
FIRST, SECOND, THIRD = 3, FIRST_PROBE + 5, FIRST_PROBE + 2 * NEXT_PROBE + 50


def matrix() -> np.ndarray:
    """Input 0 drives an output of the first block, 1 one of the second, 2 one of the third."""
    W = np.random.default_rng(1).uniform(-0.02, 0.02, (OUTPUTS, INPUTS)).astype(np.float32)
    W[FIRST, 0], W[SECOND, 1], W[THIRD, 2] = 1, 1, 1
    W[SECOND, 3] = 40  # beyond what three halvings bring within the bound
    return W


def rows(quiet: int = 0) -> np.ndarray:
    """Rows that saturate here and there, and then `quiet` ones that do not."""
    X = np.random.default_rng(2).uniform(-0.1, 0.1, (12, INPUTS)).astype(np.float32)
    X[:, :4] = 0
    for row, which in enumerate((0, 1, 2, 3, 0, None, 2, None, 3, 1)):
        if which is not None:
            X[row, which] = 0.9
    X[10, [0, 2]] = 0.5, 0.9  # in the first block and in the third
    X[11] = 0
    calm = np.random.default_rng(3).uniform(-0.1, 0.1, (quiet, INPUTS)).astype(np.float32)
    calm[:, :4] = 0
    return np.concatenate([X, calm])


def assert_equal(found: tuple[np.ndarray, np.ndarray], plain: PlainRead) -> None:
    Y, statistics = found
    np.testing.assert_array_equal(statistics, plain.statistics)
    np.testing.assert_allclose(Y, plain.Y, rtol=0, atol=1e-5 * np.abs(plain.Y).max())


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("quiet", [0, 32])
def test_equals_the_reference(
    backend: Backend, transpose: bool, managed: bool, noise: float, quiet: int
) -> None:
    assert OUTPUTS >= PROBED_OUTPUTS
    W, X = matrix(), rows(quiet)
    if quiet:  # few of a block saturate: what is left is one product
        assert len(X) > 4 * FEW
    tiling = Tiling((0, OUTPUTS), (0, 5, INPUTS), first_tile=2)
    if transpose:
        W, tiling = np.ascontiguousarray(W.T), Tiling((0, 5, INPUTS), (0, OUTPUTS), first_tile=2)
    periphery = Periphery(noise, 0.3, 0, 0, managed, 3)
    where = {"positions": 4, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(W, X, tiling, periphery, **where)
    assert plain.statistics[SATURATED] >= 2  # those of input 3
    assert plain.statistics[REREADS] > plain.statistics[READS] / (2 if not quiet else 8)
    assert_equal(read_on(backend, W, X, tiling, periphery, **where), plain)


@pytest.mark.parametrize("quiet", [0, 32])
@pytest.mark.parametrize("block", [12, 5])
def test_blocks_of_any_size_equal_the_reference(block: int, quiet: int) -> None:
    W, X = matrix(), rows(quiet)
    tiling = Tiling((0, OUTPUTS), (0, 5, INPUTS), first_tile=2)
    periphery = Periphery(0.02, 0.3, 0, 0, True, 3)
    plain = plain_read(W, X, tiling, periphery, positions=4)
    assert_equal(read_rows(W, X, tiling, periphery, positions=4, block=block), plain)
