"""Sliding windows against plain loops over positions and taps, for ranks 1 to 3."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.kernels.windows import (
    col2im,
    col2im_points,
    im2col,
    im2col_points,
    max_pool,
    scatter_add,
    window_index,
    window_starts,
)

from ..windows import Window, numbers, windows


def unrolled(window: Window, x: np.ndarray, run: int, extra: int = 0) -> np.ndarray:
    """Im2col by the kernel, one sample after the other, as threads may cut them."""
    index = window.index
    width = window.channels * index.shape[1] + extra
    out = np.full((window.batch + 1, index.shape[0], width), 55, np.float32)
    flat, starts = x.reshape(window.batch, window.channels, -1), window_starts(index, run)
    for n in reversed(range(window.batch)):
        im2col(flat, out, index, starts, extra, n, n + 1)
    assert np.all(out[-1] == 55)  # nothing is written beyond the samples
    return out[:-1]


def folded(window: Window, columns: np.ndarray, run: int) -> np.ndarray:
    out = np.full((window.batch, window.channels, prod(window.space)), 55, np.float32)
    starts = window_starts(window.index, run)
    for n in reversed(range(window.batch)):
        col2im(columns, out, window.index, starts, n, n + 1)
    return out.reshape(window.batch, window.channels, *window.space)


@given(windows())
@settings(max_examples=120, deadline=None)
def test_im2col(window: Window) -> None:
    x = numbers(window.batch, window.channels, *window.space)
    for run in window.runs():
        np.testing.assert_array_equal(unrolled(window, x, run), window.columns(x))
        wider = unrolled(window, x, run, extra=1)
        np.testing.assert_array_equal(wider[..., :-1], window.columns(x))
        assert np.all(wider[..., -1] == 1)  # the bias line


@given(windows())
@settings(max_examples=120, deadline=None)
def test_col2im(window: Window) -> None:
    columns = numbers(window.batch, *window.index.shape[:1], window.channels * prod(window.taps))
    for run in window.runs():
        np.testing.assert_array_equal(folded(window, columns, run), window.image(columns))
        wider = np.concatenate([columns, np.ones((*columns.shape[:2], 1), np.float32)], axis=2)
        np.testing.assert_array_equal(folded(window, wider, run), window.image(columns))


@given(windows(), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_col2im_is_the_adjoint_of_im2col(window: Window, seed: int) -> None:
    """<im2col x, y> = <x, col2im y> for all x and y."""
    x = numbers(window.batch, window.channels, *window.space, seed=seed)
    for run in window.runs():
        columns = unrolled(window, x, run)
        y = numbers(*columns.shape, seed=seed + 1)
        left = np.sum(columns.astype(float) * y)
        assert left == np.sum(x.astype(float) * folded(window, y, run))


@given(windows())
@settings(max_examples=120, deadline=None)
def test_max_pool(window: Window) -> None:
    x = numbers(window.batch, window.channels, *window.space)  # integers: there are ties
    flat, index = x.reshape(window.batch, window.channels, -1), window.index
    out = np.empty((window.batch, window.channels, index.shape[0]), np.float32)
    winners = np.empty(out.shape, np.int64)
    max_pool(flat, out, winners, np.ascontiguousarray(index.T), 0, window.batch)
    for n, c in product(range(window.batch), range(window.channels)):
        for p, position in enumerate(window.positions()):
            inside = [place for place in window.places(position) if place is not None]
            if not inside:
                continue  # a window of padding only has no largest value
            values = [x[n, c, *place] for place in inside]
            best = int(np.argmax(values))  # the first of equals
            assert out[n, c, p] == values[best]
            assert winners[n, c, p] == np.ravel_multi_index((n, c, *inside[best]), x.shape)


def test_more_positions_where_ceil_mode_adds_them() -> None:
    """5 values, window 2, stride 2: floor gives 2 positions, ceil 3, the last one half outside."""
    index = window_index([5], [2], [2], [0, 0], [1], out_space=[3])
    np.testing.assert_array_equal(index, [[0, 1], [2, 3], [4, -1]])
    assert index.dtype == np.int32


@given(
    index=st.lists(st.integers(0, 9), max_size=40),
    size=st.integers(10, 20),
)
@settings(max_examples=60, deadline=None)
def test_scatter_add(index: list[int], size: int) -> None:
    start, updates = numbers(size), numbers(len(index), seed=2)
    out = np.full(size, 55, np.float32)
    scatter_add(start, np.array(index, np.int64), updates, out)
    expected = start.copy()
    for place, value in zip(index, updates, strict=True):
        expected[place] += value
    np.testing.assert_array_equal(out, expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.booleans())
def test_a_single_tap_on_every_point_is_a_transposition(N: int, C: int, P: int, one: bool) -> None:
    x = np.random.default_rng(0).normal(size=(N, C, P)).astype(np.float32)
    index = np.arange(P, dtype=np.int32).reshape(P, 1)
    found, expected = (np.full((N, P, C + one), np.nan, np.float32) for _ in range(2))
    im2col_points(x, found, int(one), 0, N)
    im2col(x, expected, index, window_starts(index, 1), int(one), 0, N)
    np.testing.assert_array_equal(found, expected)
    back = np.full_like(x, np.nan)
    col2im_points(found, back, 0, N)
    np.testing.assert_array_equal(back, x)
