"""Read noise: its size, its independence, and that bound management adds no bias to it."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.read import REREADS, SATURATED

from ..bounds import correlation, deviations
from ..stand import Stand, quiet_array, read_on
from ..tilings import Periphery, Tiling

SIGMA = 0.06
SIZE = 64  # a square matrix, so that both cycles have as many outputs
POSITIONS = 1000


def noise(
    backend: Backend, tiling: Tiling, *, sample: int = 0, seed: int = 1, transpose: bool = False,
    evaluating: bool = False, batch: int = 1,
) -> np.ndarray:  # fmt: skip
    """What arrays of weight 0 give, in units of sigma: [batch, positions, outputs]."""
    W = np.zeros(tiling.shape, np.float32)
    X = np.ones((batch * POSITIONS, SIZE), np.float32)
    Y, _ = read_on(
        backend, W, X, tiling, Periphery(noise=SIGMA), positions=POSITIONS, sample=sample,
        seed=seed, transpose=transpose, evaluating=evaluating,
    )  # fmt: skip
    return Y.reshape(batch, POSITIONS, -1) / SIGMA


WHOLE = Tiling((0, SIZE), (0, SIZE))


@pytest.mark.parametrize(
    ("tiling", "segments"),
    [(WHOLE, 1), (Tiling((0, 10, 20, 64), (0, SIZE)), 1), (Tiling((0, 30, 64), (0, 9, 17, 64)), 3)],
)
def test_size(backend: Backend, tiling: Tiling, segments: int) -> None:
    """Each tile adds its own noise: the standard deviation grows with √(column segments)."""
    z = noise(backend, tiling)
    n = z.size
    assert abs(z.mean()) < deviations() * np.sqrt(segments / n)
    assert abs(z.var() / segments - 1) < deviations() * np.sqrt(2 / n)
    assert abs(np.mean(z**4) / segments**2 - 3) < deviations() * np.sqrt(96 / n)


def test_scale_of_the_noise_under_noise_management(backend: Backend) -> None:
    """Noise enters behind the scaled input, so the output carries sigma * max |x|."""
    W, X = np.zeros((SIZE, SIZE), np.float32), np.full((POSITIONS, SIZE), -0.25, np.float32)
    Y, _ = read_on(
        backend, W, X, WHOLE, Periphery(noise=SIGMA, noise_managed=True), positions=POSITIONS
    )
    assert abs(Y.var() / (0.25 * SIGMA) ** 2 - 1) < deviations() * np.sqrt(2 / Y.size)


OTHERS = [
    ("next sample", {"sample": 1}),
    ("next seed", {"seed": 2}),
    ("backward cycle", {"transpose": True}),
    ("evaluation", {"evaluating": True}),
]


@pytest.mark.parametrize(("what", "change"), OTHERS, ids=[what for what, _ in OTHERS])
def test_other_reads_have_other_noise(backend: Backend, what: str, change: dict[str, int]) -> None:
    base, other = noise(backend, WHOLE), noise(backend, WHOLE, **change)
    r, error = correlation(base, other)
    assert abs(r) < deviations() * error
    np.testing.assert_array_equal(base, noise(backend, WHOLE))  # the same read: the same noise


def test_other_tile_other_noise(backend: Backend) -> None:
    r, error = correlation(
        noise(backend, WHOLE), noise(backend, Tiling((0, SIZE), (0, SIZE), first_tile=1))
    )
    assert abs(r) < deviations() * error


@pytest.mark.parametrize(("evaluating", "transpose"), [(False, False), (True, False), (True, True)])
def test_each_place_that_reads_a_matrix_has_noise_of_its_own(
    backend: Backend, evaluating: bool, transpose: bool
) -> None:
    """Also the two directions in an evaluation, which draw for one purpose."""
    stand = Stand()
    weight = stand.weight("W", quiet_array(np.zeros(WHOLE.shape, np.float32), WHOLE))
    x = stand.value("x", np.ones((1, POSITIONS, SIZE), np.float32))
    reads = []
    for turned in (False, transpose):
        reads.append(stand.rpu("Read", x, weight, noise=SIGMA, transpose=int(turned)))
        if evaluating:
            stand.nodes[-1].metadata_props["rpucc.cycle"] = "forward"
    ends = [stand.node("ReduceSum", [read]) for read in reads]
    executor = stand.executor(backend, *ends, evaluating=evaluating)
    executor.run()
    first, second = (executor[str(end.name)] / SIGMA for end in ends)
    np.testing.assert_array_equal(  # the place of a matrix that is read once is the first
        first.reshape(1, POSITIONS, SIZE), noise(backend, WHOLE, evaluating=evaluating)
    )
    assert abs(second.var() - 1) < deviations() * np.sqrt(2 / second.size)
    r, error = correlation(first, second)
    assert abs(r) < deviations() * error


def test_independence_of_positions_samples_and_outputs(backend: Backend) -> None:
    z = noise(backend, Tiling((0, 10, 64), (0, SIZE)), batch=4)
    pairs = [
        (z[:, 1:], z[:, :-1]),  # neighbouring positions
        (z[1:], z[:-1]),  # neighbouring samples
        (z[:, :, 1:], z[:, :, :-1]),  # neighbouring outputs
        (z[:, :, 10:20], z[:, :, :10]),  # the same line of two tiles
    ]
    for a, b in pairs:
        r, error = correlation(a, b)
        assert abs(r) < deviations(len(pairs)) * error
    assert len(np.unique(z)) > 0.98 * z.size  # 24-bit radii and angles: few draws coincide


def test_a_re_read_draws_fresh_noise(backend: Backend) -> None:
    """A first read of exactly the bound plus noise; the re-read's noise must not repeat it."""
    W, X = np.full((SIZE, 1), 1.0, np.float32), np.ones((POSITIONS, 1), np.float32)
    tiling = Tiling((0, SIZE), (0, 1))
    first, _ = read_on(backend, W, X, tiling, Periphery(noise=0.01), positions=POSITIONS)
    managed = Periphery(noise=0.01, bound=1.0, max_halvings=1)
    again, statistics = read_on(backend, W, X, tiling, managed, positions=POSITIONS)
    assert statistics[REREADS] == POSITIONS  # 64 outputs around the bound: some is above it
    first_noise, second_noise = (first - 1) / 0.01, (again / 2 - 0.5) / 0.01
    r, error = correlation(first_noise, second_noise)
    assert abs(r) < deviations() * error
    assert abs(second_noise.var() - 1) < deviations() * np.sqrt(2 / again.size)


@pytest.mark.parametrize("bounds", [1.5, 3.0, 6.0])
def test_bound_management_is_unbiased_beyond_the_bound(backend: Backend, bounds: float) -> None:
    """An output of several bounds: clipped without BM; with BM its mean is right.

    Its noise is multiplied back with the signal: standard deviation 2^n sigma after n halvings.
    """
    tiling = Tiling((0, 16), (0, 8))
    W = np.full((16, 8), bounds / 8, np.float32)
    X = np.ones((POSITIONS, 8), np.float32)
    sigma, n = 0.03, int(np.ceil(np.log2(bounds)))
    Y, statistics = read_on(
        backend, W, X, tiling, Periphery(sigma, 1.0, max_halvings=10), positions=POSITIONS
    )
    assert statistics[SATURATED] == 0
    assert statistics[REREADS] == n * POSITIONS
    error = 2**n * sigma / np.sqrt(Y.size)
    assert abs(Y.mean() - bounds) < deviations() * error
    assert abs(Y.var() / (2**n * sigma) ** 2 - 1) < deviations() * np.sqrt(2 / Y.size)
    clipped, statistics = read_on(backend, W, X, tiling, Periphery(sigma, 1.0), positions=POSITIONS)
    assert clipped.max() == 1.0
    assert abs(clipped.mean() - bounds) > 100 * error  # what this test would see without BM
    assert statistics[SATURATED] == POSITIONS
