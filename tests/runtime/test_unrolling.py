"""Im2col, its line of ones, its adjoint and shares of positions as nodes, on any backend."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
from hypothesis import given, settings

from rpucc.runtime.backend import Backend
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.reference.shares import draw_order

from .stand import Stand
from .windows import Window, numbers, windows


def attributes(window: Window) -> dict[str, list[int]]:
    names = {"strides": window.strides, "pads": window.pads, "dilations": window.dilations}
    return {name: list(values) for name, values in names.items()}


@given(windows())
@settings(max_examples=60, deadline=None)
def test_unrolling(backend: Backend, window: Window) -> None:
    x = numbers(window.batch, window.channels, *window.space)
    for alone in (False, True):  # whether something sees the columns without the line
        stand = Stand()
        columns = stand.rpu(
            "Im2Col", stand.value("x", x), kernel_shape=list(window.taps), **attributes(window)
        )
        longer = stand.rpu("AppendOne", columns)
        wanted = [columns, longer] if alone else [longer]
        executor = stand.executor(backend, *wanted, batch=window.batch)
        executor.run()
        found = executor[str(longer.name)]
        np.testing.assert_array_equal(found[..., :-1], window.columns(x))
        assert np.all(found[..., -1] == 1)  # the bias line
        if alone:
            np.testing.assert_array_equal(executor[str(columns.name)], window.columns(x))


@pytest.mark.parametrize("extra", [False, True])
@given(window=windows())
@settings(max_examples=60, deadline=None)
def test_folding(backend: Backend, extra: bool, window: Window) -> None:
    shape = (window.batch, len(window.positions()), window.channels * prod(window.taps))
    columns = numbers(*shape)
    stand = Stand()
    top = columns if not extra else np.concatenate([columns, columns[..., :1]], axis=2)
    value = stand.value("columns", top)
    if extra:  # the gradient of the bias line is dropped
        bounds = [np.array([v], np.int64) for v in (0, -1, -1)]
        names = ("starts", "ends", "axes")
        value = stand.node(
            "Slice", [value, *(stand.constant(n, b) for n, b in zip(names, bounds, strict=True))]
        )
    turned = stand.node("Transpose", [value], perm=[0, 2, 1])
    sizes = [
        stand.constant(name, np.array(values, np.int64))
        for name, values in (("space", window.space), ("taps", window.taps))
    ]
    image = stand.node("Col2Im", [turned, *sizes], **attributes(window))
    executor = stand.executor(backend, image, batch=window.batch)
    for _ in range(2):  # nothing of the first step is left in the second
        executor.run()
    np.testing.assert_array_equal(executor[str(image.name)], window.image(columns))


@pytest.mark.parametrize("positions", [1, 7, 60])
@pytest.mark.parametrize("evaluating", [False, True])
def test_shares_are_the_plain_ones_and_come_back(
    backend: Backend, positions: int, evaluating: bool
) -> None:
    copies, layer, sample, seed = 3, 2, 5, 2**40 + 1
    x = numbers(4, positions, 6)
    stand = Stand()
    shares = stand.rpu("Assign", stand.value("x", x), copies=[copies], layer=layer)
    back = stand.rpu("Collect", shares, positions=[positions], layer=layer)
    executor = stand.executor(backend, shares, back, batch=len(x), seed=seed, evaluating=evaluating)
    executor.run(sample)
    np.testing.assert_array_equal(executor[str(back.name)], x)
    each = -(-positions // copies)
    found = executor[str(shares.name)].reshape(len(x), copies * each, -1)
    for n in range(len(x)):
        order = draw_order(positions, sample + n, layer, evaluating, seed_key(seed))
        np.testing.assert_array_equal(found[n, :positions], x[n, order])
    assert np.all(found[:, positions:] == 0)
