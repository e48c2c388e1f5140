"""Grouped layers on real devices: each group is read and pulsed as a grid of its own would be."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.instructions.update import compile_update
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.kernels.read import read, read_groups
from rpucc.runtime.kernels.update_arguments import Address, PulsePolicy, Span
from rpucc.runtime.layout import Layout
from rpucc.runtime.make_array import make_plane
from rpucc.runtime.plane import Plane

G, R, C, N, P = 3, 5, 7, 2, 4
KEY = seed_key(3)


class OneByOne(ConstantStep):
    """The same device, pulsed one by one as devices without a counted update are."""

    name = "one-by-one"
    counted = False


CONSTANT_STEP = make_device("constant-step", {})


def plane(groups: range, device: Device) -> Plane:
    """A plane of some of the groups, each cut into 2 by 2 tiles that keep their numbers."""
    rng = np.random.default_rng(0)
    W = rng.uniform(-0.4, 0.4, (G, R, C)).astype(np.float32)[groups.start : groups.stop]
    first = 4 * groups.start
    layout = Layout.of((0, 2, R), (0, 4, C), KEY, first_tile=first, groups=len(groups))
    made = make_plane("dw", layout, device, pulsed=True)
    made.program(W.reshape(-1, C))
    return made


def images(columns: int) -> np.ndarray:
    """[N, G, P, columns]."""
    return np.random.default_rng(1).normal(size=(N, G, P, columns)).astype(np.float32)


@pytest.mark.parametrize("device", [CONSTANT_STEP, OneByOne()], ids=["counted", "one by one"])
@pytest.mark.parametrize("rows", [(0, G * R), (3, 11)])
def test_a_pulsed_update(device: Device, rows: tuple[int, int]) -> None:
    x, d = images(C), images(R)
    X, D = (a.transpose(1, 0, 2, 3).reshape(G, N * P, -1).copy() for a in (x, d))
    together = plane(range(G), device)
    pulses = pulse(together, X, D, *rows)
    alone, expected = 0, []
    for g in range(G):
        single = plane(range(g, g + 1), device)
        r0, r1 = (min(max(r - g * R, 0), R) for r in rows)
        alone += pulse(single, X[g : g + 1], D[g : g + 1], r0, r1)
        expected.append(single.W)
    assert pulses == alone > 0
    np.testing.assert_array_equal(together.W, np.concatenate(expected))


def pulse(on: Plane, X: np.ndarray, D: np.ndarray, r0: int, r1: int) -> int:
    if r0 == r1:
        return 0
    return compile_update(on.device)(
        r0, r1, on.W, device_state(on), X, D, np.float32(0.01),
        PulsePolicy(np.float32(on.device.dw_min), 10, True, False),
        on.layout.for_kernels, Address(P, *KEY), Span(5, 0, N * P, 5, 0),
        update_scratch(on, N * P, P, 10, r1 - r0),
    )  # fmt: skip


@pytest.mark.parametrize("transpose", [False, True])
def test_a_managed_read(transpose: bool) -> None:
    """With noise, converters, a bound that is met, and both managements."""
    together = plane(range(G), CONSTANT_STEP)
    x = images(R if transpose else C)
    y, statistics = read_all(together, x, transpose)
    expected, sums = np.empty_like(y), np.zeros(3, np.int64)
    for g in range(G):
        single = plane(range(g, g + 1), CONSTANT_STEP)
        expected[:, g : g + 1], tally = read_all(single, x[:, g : g + 1].copy(), transpose)
        sums += tally
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(statistics, sums)
    assert sums[0] > 0
    assert sums[2] > 0  # some were read again


def read_all(on: Plane, x: np.ndarray, transpose: bool) -> tuple[np.ndarray, np.ndarray]:
    """One read of every position: by `read_groups`, and by `read` where there is one group."""
    inputs, outputs = (R, C) if transpose else (C, R)
    out_cuts, in_cuts = on.layout.group_cuts, on.layout.col_cuts
    if transpose:
        in_cuts, out_cuts = out_cuts, in_cuts
    tiles = on.layout.group_tiles if transpose else on.layout.group_tiles.transpose(0, 2, 1).copy()
    X = x.reshape(-1, P, inputs)
    Y, statistics = np.empty((len(X), P, outputs), np.float32), np.zeros(3, np.int64)
    f = np.float32
    block = N * P
    rest = (
        P, 9, 1, 0, *KEY, True, 5, f(0), f(0.06), f(0.3), f(63), False, f(0.01), transpose, block,
        np.empty(2 * block * C, f), np.empty(2 * block * C, f), np.empty(2 * block, f),
        np.empty((block + 1) * C + 256, f), np.empty(C + 128, np.uint32),
        np.empty(2 * block, np.int64), statistics,
    )  # fmt: skip
    blas = blas_routines()
    if on.layout.groups > 1:
        read_groups(0, len(X), blas, on.matrices, X, Y, in_cuts, out_cuts, tiles, *rest)
    else:
        flat = (X.reshape(-1, inputs), Y.reshape(-1, outputs))
        read(0, N * P, blas, on.W, *flat, in_cuts, out_cuts, tiles[0], *rest)
    return Y.reshape(N, on.layout.groups, P, outputs), statistics
