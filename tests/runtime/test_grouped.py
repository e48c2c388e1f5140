"""Grouped layers on real devices: each group is read and pulsed as a matrix of its own would be."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.array import Array
from rpucc.runtime.backend import Backend
from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.compiled import compile_update
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.kernels.update_arguments import Address, PulsePolicy, Span
from rpucc.runtime.layout import Layout
from rpucc.runtime.plane import Plane

from .stand import read_array_on, updating_on
from .tilings import Periphery, Pulsing, make_array

G, R, C, N, P = 3, 5, 7, 2, 4
KEY = seed_key(3)


class OneByOne(ConstantStep):
    """The same device, pulsed one by one as devices without a counted update are."""

    name = "one-by-one"
    counted = False


CONSTANT_STEP = make_device("constant-step", {})
DEVICES = pytest.mark.parametrize(
    "device", [CONSTANT_STEP, OneByOne()], ids=["counted", "one by one"]
)


def array(groups: range, device: Device) -> Array:
    """Some of the groups, each cut into 2 by 2 tiles that keep their numbers."""
    rng = np.random.default_rng(0)
    W = rng.uniform(-0.4, 0.4, (G, R, C)).astype(np.float32)[groups.start : groups.stop]
    first = 4 * groups.start
    layout = Layout.of((0, 2, R), (0, 4, C), KEY, first_tile=first, groups=len(groups))
    return make_array("dw", layout, device, W.reshape(-1, C))


def images(columns: int) -> np.ndarray:
    """[N, G, P, columns]."""
    return np.random.default_rng(1).normal(size=(N, G, P, columns)).astype(np.float32)


@DEVICES
def test_a_pulsed_update(backend: Backend, device: Device) -> None:
    x, d, how = images(C), images(R), Pulsing(managed=True)
    together = array(range(G), device)
    pulses = updating_on(backend, together, x, d, how)(5)
    alone, expected = 0, []
    for g in range(G):
        single, one = array(range(g, g + 1), device), slice(g, g + 1)
        alone += updating_on(backend, single, x[:, one].copy(), d[:, one].copy(), how)(5)
        expected.append(single.visible)
    assert pulses == alone > 0
    np.testing.assert_array_equal(together.visible, np.concatenate(expected))


@DEVICES
def test_a_pulsed_update_of_some_rows(device: Device) -> None:
    """Rows of two groups, one of them in part."""
    x, d = images(C), images(R)
    X, D = (a.transpose(1, 0, 2, 3).reshape(G, N * P, -1).copy() for a in (x, d))
    together = array(range(G), device)
    pulses = pulse(together.main, X, D, 3, 11)
    alone, expected = 0, []
    for g in range(G):
        single = array(range(g, g + 1), device)
        r0, r1 = (min(max(r - g * R, 0), R) for r in (3, 11))
        alone += pulse(single.main, X[g : g + 1], D[g : g + 1], r0, r1)
        expected.append(single.visible)
    assert pulses == alone > 0
    np.testing.assert_array_equal(together.visible, np.concatenate(expected))


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
def test_a_managed_read(backend: Backend, transpose: bool) -> None:
    """With noise, converters, a bound that is met, and both managements."""
    together = array(range(G), CONSTANT_STEP)
    x = images(R if transpose else C)
    how = {"sample": 9, "seed": 3, "transpose": transpose}
    periphery = Periphery(0.06, 0.3, 7, 6, True, 5)
    y, statistics = read_array_on(backend, together, x, periphery, **how)
    assert y.shape == (N, G, P, C if transpose else R)
    expected, sums = np.empty_like(y), np.zeros(3, np.int64)
    for g in range(G):
        single, one = array(range(g, g + 1), CONSTANT_STEP), slice(g, g + 1)
        part, tally = read_array_on(backend, single, x[:, one].copy(), periphery, **how)
        expected[:, one] = part.reshape(expected[:, one].shape)
        sums += tally
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(statistics, sums)
    assert sums[0] > 0
    assert sums[2] > 0  # some were read again


@pytest.mark.parametrize("transpose", [False, True])
def test_ideal_products(backend: Backend, transpose: bool) -> None:
    """A read without periphery, and the exact outer product."""
    weights = make_array("dw", Layout.of((0, R), (0, C), KEY, groups=G), CONSTANT_STEP,
                         images(C)[0, :, 0].repeat(R, 0), pulsed=False)  # fmt: skip
    W = weights.matrices.astype(float)
    x, d = images(C), images(R)
    y, _ = read_array_on(backend, weights, d if transpose else x, Periphery(), transpose=transpose)
    right = np.einsum("ngpr,grc->ngpc", d, W) if transpose else np.einsum("ngpc,grc->ngpr", x, W)
    np.testing.assert_allclose(y, right, rtol=1e-5, atol=1e-5)
    assert updating_on(backend, weights, x, d, Pulsing(0.1))(0) == 0
    np.testing.assert_allclose(
        weights.matrices, W - 0.1 * np.einsum("ngpr,ngpc->grc", d, x), rtol=1e-5, atol=1e-5
    )
