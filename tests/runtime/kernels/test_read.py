"""Reads against the plain statement, for every combination of their settings.

How outcomes are compared: inputs are drawn off the DAC's rounding borders (`off_dac_borders`), so
float32 and float64 make the same input steps. An output may be off by one ADC step only where the
unrounded partial sum of that very read lies within 1e-3 of a step of a border (`PlainRead.slack`).
"""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.read import READS, REREADS, SATURATED

from ..stand import read_on
from ..tilings import Periphery, PlainRead, Tiling, off_dac_borders, plain_read, read_rows

TILING = Tiling((0, 4, 7, 8), (0, 5, 11), first_tile=3)
SAMPLES, POSITIONS = 3, 4
BOUND = 0.3  # low: some reads take one halving, some two or three

COMBINATIONS = [
    pytest.param(transpose, managed, halvings, dac, adc, noise, id="-".join(names) or "plain")
    for transpose, managed, halvings, dac, adc, noise in product(
        (False, True), (False, True), (0, 3), (0, 7), (0, 9), (0.0, 0.06)
    )
    for names in [
        [
            name
            for name, on in zip(
                ("transpose", "NM", "BM", "DAC", "ADC", "noise"),
                (transpose, managed, halvings, dac, adc, noise),
                strict=True,
            )
            if on
        ]
    ]
]


def weights(seed: int = 1, tiling: Tiling = TILING) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.6, 0.6, tiling.shape).astype(np.float32)


def inputs(periphery: Periphery, transpose: bool = False, seed: int = 2) -> np.ndarray:
    """Rows for all samples and positions; some rows and some segments of rows are 0."""
    rng = np.random.default_rng(seed)
    X = off_dac_borders(rng, SAMPLES * POSITIONS, TILING, periphery, transpose)
    X[1] = 0
    X[5, :4] = 0  # the first row segment
    X[6, 5:] = 0  # the second column segment
    return X


def assert_reads_equal(found: tuple[np.ndarray, np.ndarray], plain: PlainRead) -> None:
    Y, statistics = found
    np.testing.assert_array_equal(statistics, plain.statistics)
    off = np.abs(Y - plain.Y)
    exact = plain.slack == 0
    assert np.mean(exact) > 0.95  # the tolerance below is for rare cases
    assert np.all(off[exact] <= 1e-5 * max(1.0, np.abs(plain.Y).max()))
    assert np.all(off <= 1e-5 * max(1.0, np.abs(plain.Y).max()) + 1.001 * plain.slack)


@pytest.mark.parametrize(("transpose", "managed", "halvings", "dac", "adc", "noise"), COMBINATIONS)
def test_read_equals_the_reference(
    backend: Backend,
    transpose: bool,
    managed: bool,
    halvings: int,
    dac: int,
    adc: int,
    noise: float,
) -> None:
    periphery = Periphery(noise, BOUND, dac, adc, managed, halvings)
    W, X = weights(), inputs(periphery, transpose)
    where = {"positions": POSITIONS, "sample": 7, "seed": 2**40 + 5, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    assert plain.statistics[SATURATED] > 0 or halvings  # the bound plays its part
    assert (plain.statistics[REREADS] > 0) == (halvings > 0)
    assert_reads_equal(read_on(backend, W, X, TILING, periphery, **where), plain)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("managed", [False, True])
@pytest.mark.parametrize("dac", [0, 5])
def test_without_a_bound(backend: Backend, transpose: bool, managed: bool, dac: int) -> None:
    """No bound and so no ADC; bound management has nothing to do."""
    periphery = Periphery(0.06, 0.0, dac, 0, managed, 4)
    W, X = weights(), inputs(periphery, transpose)
    where = {"positions": POSITIONS, "transpose": transpose}
    plain = plain_read(W, X, TILING, periphery, **where)
    assert plain.statistics[SATURATED] == plain.statistics[REREADS] == 0
    assert_reads_equal(read_on(backend, W, X, TILING, periphery, **where), plain)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_tiling_and_shape(backend: Backend, data: st.DataObject) -> None:
    def cuts() -> tuple[int, ...]:
        lengths = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=3))
        return (0, *np.cumsum(lengths).tolist())

    tiling = Tiling(cuts(), cuts(), data.draw(st.integers(0, 1000)))
    positions = data.draw(st.integers(1, 4))
    rows = positions * data.draw(st.integers(1, 3))
    transpose = data.draw(st.booleans())
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    W = rng.uniform(-0.3, 0.3, tiling.shape).astype(np.float32)
    X = rng.uniform(-1, 1, (rows, tiling.shape[0 if transpose else 1])).astype(np.float32)
    periphery = Periphery(0.1, 1.5, 0, 0, data.draw(st.booleans()), data.draw(st.integers(0, 2)))
    where = {"positions": positions, "sample": 5, "transpose": transpose}
    found = read_on(backend, W, X, tiling, periphery, **where)
    assert_reads_equal(found, plain_read(W, X, tiling, periphery, **where))


FULL = Periphery(0.06, BOUND, 7, 9, True, 3)


@pytest.mark.parametrize("transpose", [False, True])
def test_row_ranges_of_whole_blocks_give_the_same_bits(transpose: bool) -> None:
    W, X = weights(), inputs(FULL, transpose)
    where = {"positions": POSITIONS, "transpose": transpose, "block": 5}
    Y, statistics = read_rows(W, X, TILING, FULL, **where)
    for ranges in ([(0, 5), (5, 12)], [(10, 12), (0, 5), (5, 10)]):
        Y2, statistics2 = read_rows(W, X, TILING, FULL, ranges=ranges, **where)
        np.testing.assert_array_equal(Y, Y2)
        np.testing.assert_array_equal(statistics, statistics2)


@pytest.mark.parametrize("transpose", [False, True])
@pytest.mark.parametrize("block", [1, 2, 3, 7, 12, 100])
def test_any_block_and_range_gives_the_same_draws(transpose: bool, block: int) -> None:
    """BLAS may sum in another order for another number of rows: equal to rounding, not in bits."""
    periphery = Periphery(0.06, BOUND, 7, 0, True, 3)
    W, X = weights(), inputs(periphery, transpose)
    where = {"positions": POSITIONS, "transpose": transpose}
    Y, statistics = read_rows(W, X, TILING, periphery, **where)
    assert_reads_equal((Y, statistics), plain_read(W, X, TILING, periphery, **where))
    ranges = [(0, 1), (1, 6), (6, 12)]
    Y2, statistics2 = read_rows(W, X, TILING, periphery, ranges=ranges, block=block, **where)
    np.testing.assert_allclose(Y2, Y, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(statistics2, statistics)


def test_rows_outside_the_range_are_left_alone() -> None:
    W, X = weights(), inputs(FULL)
    Y, _ = read_rows(W, X, TILING, FULL, positions=POSITIONS, ranges=[(3, 6)], start=0.125)
    assert np.all(Y[:3] == 0.125)
    assert np.all(Y[6:] == 0.125)
    assert not np.any(Y[3:5] == 0.125)


def test_a_batch_equals_its_samples_one_by_one(backend: Backend) -> None:
    periphery = Periphery(0.06, BOUND, 7, 0, True, 3)
    W, X = weights(), inputs(periphery)
    Y, statistics = read_on(backend, W, X, TILING, periphery, positions=POSITIONS, sample=20)
    total = np.zeros(3, np.int64)
    for i in range(SAMPLES):
        rows = slice(i * POSITIONS, (i + 1) * POSITIONS)
        one, tally = read_on(
            backend, W, X[rows], TILING, periphery, positions=POSITIONS, sample=20 + i
        )
        np.testing.assert_allclose(one, Y[rows], rtol=1e-5, atol=1e-5)
        total += tally
    np.testing.assert_array_equal(total, statistics)


def test_zero_inputs_are_not_read_under_noise_management(backend: Backend) -> None:
    """Exactly 0, no read counted, no noise; also for one segment of several."""
    W, X = weights(), np.zeros((4, 11), np.float32)
    X[2, 3] = X[3, 7] = 0.5  # only the first, only the second column segment
    Y, statistics = read_on(backend, W, X, TILING, Periphery(0.06, BOUND, 7, 9, True, 3))
    assert np.all(Y[:2] == 0)
    assert np.all(Y[2:] != 0)
    assert statistics[READS] == 2 * 3
    Y, statistics = read_on(backend, W, X, TILING, Periphery(0.06, BOUND, 0, 0, False, 3))
    assert np.all(Y != 0)  # without it they are read, and noisy
    assert statistics[READS] == 4 * 6


@pytest.mark.parametrize("managed", [False, True])
def test_what_the_output_held_before_does_not_matter(managed: bool) -> None:
    periphery = Periphery(0.06, BOUND, 7, 9, managed, 3)
    W, X = weights(), inputs(periphery)
    Y, _ = read_rows(W, X, TILING, periphery, start=0.0)
    for start in (1e30, -3.0, np.inf, np.nan):
        np.testing.assert_array_equal(read_rows(W, X, TILING, periphery, start=start)[0], Y)


@pytest.mark.parametrize("dac", [0, 7])
@pytest.mark.parametrize(
    "largest",
    [1e30, 1e-30, 1e-37, 1e-39, 1e-44],
)
def test_noise_management_of_extreme_inputs(backend: Backend, largest: float, dac: int) -> None:
    """A sample that is learnt leaves errors down to denormals: reads stay finite, and scale.

    Denormal inputs may count as 0.
    """
    tiling = Tiling((0, 4), (0, 6))
    W = weights(1, tiling)
    x = np.array([[0, -1, 0.5, 0, 0.25, 1]], np.float32)
    periphery = Periphery(0.0, 12.0, dac, 0, True, 3)
    Y, _ = read_on(backend, W, (x * np.float32(largest)).astype(np.float32), tiling, periphery)
    assert np.all(np.isfinite(Y))
    unit, _ = read_on(backend, W, x, tiling, periphery)
    assert np.all(np.abs(Y - unit * np.float32(largest)) <= max(1e-5 * largest, 2e-38))


def test_the_comparison_rejects_other_draws(backend: Backend) -> None:
    """With a neighbour's sample number, purpose or seed the reference no longer agrees."""
    periphery = Periphery(0.06, BOUND, 7, 9, True, 3)
    W, X = weights(), inputs(periphery)
    Y, _ = read_on(backend, W, X, TILING, periphery, positions=POSITIONS, sample=7, seed=5)
    for sample, seed, purpose in ((8, 5, 0), (7, 6, 0), (7, 5, 3)):
        plain = plain_read(
            W, X, TILING, periphery, positions=POSITIONS, sample=sample, seed=seed, purpose=purpose
        )
        assert np.mean(np.abs(Y - plain.Y) > 0.01) > 0.5


def test_converters_round_to_their_steps(backend: Backend) -> None:
    """One weight of 1, so the output is DAC(x) and then ADC(DAC(x)): 2^bits - 2 steps of range."""
    tiling, W = Tiling((0, 1), (0, 1)), np.ones((1, 1), np.float32)
    X = np.linspace(-1.3, 1.3, 4001, dtype=np.float32)[:, None]
    Y, _ = read_on(backend, W, X, tiling, Periphery(0.0, 2.0, 4, 0))
    levels = np.unique(Y)
    np.testing.assert_allclose(levels, np.arange(-7, 8) / 7, atol=1e-6)
    assert np.abs(Y - np.clip(X, -1, 1)).max() <= 0.5 / 7 + 1e-6
    Y, _ = read_on(backend, 2 * W, X, tiling, Periphery(0.0, 2.0, 0, 5))
    np.testing.assert_allclose(np.unique(Y), np.arange(-15, 16) * 2 / 15, atol=1e-6)
    assert np.abs(Y - np.clip(2 * X, -2, 2)).max() <= 1 / 15 + 1e-6


def test_saturation_without_and_with_bound_management(backend: Backend) -> None:
    """Outputs of 0.5, 3 and -7 bounds: clipped without BM; exact with it, after 3 halvings."""
    tiling = Tiling((0, 3), (0, 4))
    W = np.repeat(np.array([[0.125], [0.75], [-1.75]], np.float32), 4, axis=1)
    X = np.ones((1, 4), np.float32)
    Y, statistics = read_on(backend, W, X, tiling, Periphery(bound=1.0))
    np.testing.assert_array_equal(Y, [[0.5, 1, -1]])
    np.testing.assert_array_equal(statistics, [1, 1, 0])
    Y, statistics = read_on(backend, W, X, tiling, Periphery(bound=1.0, max_halvings=10))
    np.testing.assert_array_equal(Y, [[0.5, 3, -7]])
    np.testing.assert_array_equal(statistics, [1, 0, 3])
    # Too few halvings: 2 of them leave -7 / 4, which is clipped to -1 and multiplied back.
    Y, statistics = read_on(backend, W, X, tiling, Periphery(bound=1.0, max_halvings=2))
    np.testing.assert_array_equal(Y, [[0.5, 3, -4]])
    np.testing.assert_array_equal(statistics, [1, 1, 2])
