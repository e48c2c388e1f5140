"""Activations with turning and pooling against NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rpucc.runtime.kernels import activations as kernels
from rpucc.runtime.kernels.windows import window_index

Array = np.ndarray

FUNCTIONS: dict[int, Callable[[Array], Array]] = {
    kernels.NONE: lambda x: x,
    kernels.TANH: np.tanh,
    kernels.RELU: lambda x: np.maximum(x, 0),
    kernels.SIGMOID: lambda x: 1 / (1 + np.exp(-x)),
}
SLOPES: dict[int, Callable[[Array], Array]] = {
    kernels.NONE: np.ones_like,
    kernels.TANH: lambda y: 1 - y * y,
    kernels.RELU: lambda y: (y > 0).astype(y.dtype),
    kernels.SIGMOID: lambda y: y * (1 - y),
}
KINDS = pytest.mark.parametrize("kind", list(FUNCTIONS))
SHAPES = pytest.mark.parametrize("shape", [(1, 1, 1), (2, 5, 3), (3, 36, 17), (2, 20, 40)])

# image, kernel, stride, pads: side by side, with places left over, overlapping, padded
POOLS = pytest.mark.parametrize(
    ("space", "taps", "stride", "pad"),
    [((6, 6), 2, 2, 0), ((7, 5), 2, 2, 0), ((7, 7), 3, 2, 0), ((6, 6), 3, 3, 1), ((9,), 3, 1, 1)],
)


def numbers(*shape: int, seed: int = 0) -> Array:
    return np.asarray(np.random.default_rng(seed).normal(size=shape) * 2, np.float32)


def by_samples(batch: int, run: Callable[[int, int], None]) -> None:
    """Sample by sample and backwards: nothing may depend on how they are cut."""
    for n in reversed(range(batch)):
        run(n, n + 1)


def test_tanh_is_good_to_a_few_ulp_and_never_beyond_one() -> None:
    x = np.concatenate([np.linspace(-12, 12, 100_001), [0, 1e-30, -1e-30, 3e38, -3e38, 1e-5]])
    x = x.astype(np.float32)[None]
    out = np.empty_like(x)
    kernels.activate(x, out, kernels.TANH, 0, 1)
    exact = np.tanh(x.astype(float))
    assert np.abs(out).max() <= 1
    np.testing.assert_allclose(out, exact, rtol=6e-7, atol=0)
    np.testing.assert_array_equal(np.sign(out), np.sign(x))


@KINDS
def test_activate(kind: int) -> None:
    x = numbers(3, 50)
    out = np.full_like(x, 55)
    kernels.activate(x, out, kind, 1, 3)
    np.testing.assert_allclose(out[1:], FUNCTIONS[kind](x[1:]), rtol=0, atol=1e-6)
    assert np.all(out[0] == 55)


@KINDS
@SHAPES
def test_turn_and_activate(shape: tuple[int, int, int], kind: int) -> None:
    y = numbers(*shape)
    out = np.empty((shape[0], shape[2], shape[1]), np.float32)
    by_samples(shape[0], lambda a, b: kernels.turn_and_activate(y, out, kind, a, b))
    np.testing.assert_allclose(out, FUNCTIONS[kind](y.transpose(0, 2, 1)), rtol=0, atol=1e-6)


@KINDS
@SHAPES
@pytest.mark.parametrize("extra", [0, 1])
def test_turn_gradient(shape: tuple[int, int, int], extra: int, kind: int) -> None:
    batch, positions, channels = shape
    y = FUNCTIONS[kind](numbers(batch, channels, positions)).astype(np.float32)
    g = numbers(batch, channels * positions + extra, seed=1)
    d, flat = np.empty(shape, np.float32), np.empty((batch, channels * positions), np.float32)
    by_samples(batch, lambda a, b: kernels.turn_gradient(g, y, d, kind, a, b))
    expected = g[:, : channels * positions].reshape(y.shape) * SLOPES[kind](y)
    np.testing.assert_allclose(d, expected.transpose(0, 2, 1), rtol=1e-5, atol=1e-6)
    rows = y.reshape(batch, -1)
    by_samples(batch, lambda a, b: kernels.activation_gradient(g, rows, flat, kind, a, b))
    np.testing.assert_allclose(flat, expected.reshape(flat.shape), rtol=1e-5, atol=1e-6)


@POOLS
@KINDS
@pytest.mark.parametrize("ties", [False, True])
def test_pools(
    space: tuple[int, ...], taps: int, stride: int, pad: int, kind: int, ties: bool
) -> None:
    """Forward and backward, against loops; with ties the first tap wins."""
    rank, batch, channels = len(space), 2, 5
    index = window_index(space, [taps] * rank, [stride] * rank, [pad] * 2 * rank, [1] * rank)
    places, windows = int(np.prod(space)), len(index)
    y = numbers(batch, places, channels)
    if ties:
        y = np.round(y)
    pooled = np.full((batch, windows, channels), 55, np.float32)
    winners = np.full(pooled.shape, 55, np.int32)
    out = np.full((batch, channels, windows), 55, np.float32)
    table = np.ascontiguousarray(index.T)
    by_samples(
        batch,
        lambda a, b: kernels.pool_and_activate(y, pooled, winners, out, table, kind, a, b),
    )
    g = numbers(batch, channels * windows + 1, seed=1)
    d = np.zeros_like(y)
    row = np.empty(channels, np.float32)
    inside = index[index >= 0]
    disjoint = len(np.unique(inside)) == len(inside)
    for _ in range(2):  # the second time, too: nothing of the first is left
        by_samples(
            batch,
            lambda a, b: kernels.pool_gradient(
                g, pooled, winners, d, table, disjoint, kind, row, a, b
            ),
        )
    expected, gradient = np.zeros_like(out), np.zeros_like(y)
    for n, q, r in np.ndindex(batch, windows, channels):
        legal = index[q][index[q] >= 0]
        place = legal[np.argmax(y[n, legal, r])]
        assert winners[n, q, r] == place
        expected[n, r, q] = FUNCTIONS[kind](y[n, place, r])
        share = SLOPES[kind](expected[n, r, q : q + 1])[0] * g[n, r * windows + q]
        gradient[n, place, r] += share
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6)
    np.testing.assert_array_equal(pooled, out.transpose(0, 2, 1))
    np.testing.assert_allclose(d, gradient, rtol=1e-5, atol=2e-6)
