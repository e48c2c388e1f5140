"""Updates of planes of which some weights stay: against the plain statement, and without a mask.

A crosspoint that is trained gets the very pulses, with the very noise, that it gets where no other
one is held.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.instructions.update_scratch import held_of
from rpucc.runtime.kernels.blas import blas_routines
from rpucc.runtime.kernels.held import subtract_held
from rpucc.runtime.kernels.products import subtract_outer
from rpucc.runtime.plane import Plane

from ..tilings import Pulsing, Tiling, make_plane, plain_pulse, pulse


class OneByOne(ConstantStep):
    """The same device, pulsed one by one as devices without a counted update are."""

    name = "one-by-one"
    counted = False


DEVICES = [
    make_device("constant-step", {}),
    OneByOne(),
    make_device("linear-step", {"up_down_dtod": 0.2}),
    make_device("soft-bounds", {"up_down_dtod": 0.2}),
]
# Tiles of one to three blocks of 16 columns, the last of them not full.
TILING = Tiling((0, 3, 7), (0, 4, 37, 70), first_tile=2)
HOWS = [
    Pulsing(0.01, 10, positions=1, chunk=1),
    Pulsing(0.02, 40, True, True, positions=5, sample=100, chunk=3),
    Pulsing(0.3, 10, positions=5, sample=7, chunk=5),
]


def masked_plane(device: Device, seed: int, share: float = 0.4, pulsed: bool = True) -> Plane:
    rng = np.random.default_rng(seed)
    start = rng.uniform(-0.5, 0.5, TILING.shape).astype(np.float32)
    plane = make_plane(device, TILING, start, seed=seed, pulsed=pulsed)
    plane.mask = rng.random(TILING.shape) < share
    return plane


def batch(seed: int, rows: int, zeros: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1.3, 1.3, (rows, TILING.shape[1])).astype(np.float32)
    D = rng.uniform(-0.8, 0.8, (rows, TILING.shape[0])).astype(np.float32)
    X[rng.random(X.shape) < zeros] = 0
    D[rng.random(D.shape) < zeros] = 0
    return X, D


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
@pytest.mark.parametrize("how", HOWS, ids=["one", "many", "far"])
@pytest.mark.parametrize("zeros", [0.2, 0.8], ids=["dense", "sparse"])
def test_pulses_are_those_of_the_reference(device: Device, how: Pulsing, zeros: float) -> None:
    plane = masked_plane(device, 3)
    X, D = batch(5, 15, zeros)
    before = plane.W.copy()
    W, expected = plain_pulse(plane, X, D, how)
    assert pulse(plane, X, D, how) == expected > 0
    np.testing.assert_allclose(plane.W, W, rtol=0, atol=2e-6)
    np.testing.assert_array_equal(plane.W[~plane.mask], before[~plane.mask])
    assert not np.array_equal(plane.W, before)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
@pytest.mark.parametrize("how", HOWS, ids=["one", "many", "far"])
def test_trained_weights_get_what_they_get_without_a_mask(device: Device, how: Pulsing) -> None:
    masked, free = masked_plane(device, 4), masked_plane(device, 4)
    free.mask = None
    X, D = batch(6, 15 if how.chunk > 1 else 1, 0.2)
    fewer, all_pulses = pulse(masked, X, D, how), pulse(free, X, D, how)
    assert 0 < fewer < all_pulses
    np.testing.assert_array_equal(masked.W[masked.mask], free.W[masked.mask])


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_ranges_of_rows_give_the_same_bits(device: Device) -> None:
    whole, parted = masked_plane(device, 8), masked_plane(device, 8)
    X, D = batch(9, 15, 0.2)
    how = HOWS[1]
    assert pulse(whole, X, D, how) == pulse(parted, X, D, how, [(0, 2), (2, 6), (6, 7)])
    np.testing.assert_array_equal(whole.W, parted.W)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_a_tile_that_is_not_there_gets_no_pulse_and_changes_nothing_else(device: Device) -> None:
    plane, other = masked_plane(device, 8, share=1.0), masked_plane(device, 8, share=1.0)
    there = np.ones((2, 3), bool)
    there[1, 2] = there[0, 1] = False
    plane.layout = replace(plane.layout, there=there)
    before = plane.W.copy()
    X, D = batch(9, 15, 0.2)
    assert pulse(plane, X, D, HOWS[1]) < pulse(other, X, D, HOWS[1])
    gone = np.repeat(np.repeat(~there, [3, 4], axis=0), [4, 33, 33], axis=1)
    np.testing.assert_array_equal(plane.W[gone], before[gone])
    np.testing.assert_array_equal(plane.W[~gone], other.W[~gone])


@given(st.integers(0, 2**32), st.sampled_from([1, 2, 7]), st.sampled_from([1, 3]))
@settings(max_examples=25, deadline=None)
def test_exact_updates_hold_weights_bit_for_bit(seed: int, rows: int, groups: int) -> None:
    rng = np.random.default_rng(seed)
    device = make_device("ideal", {})
    tiling = Tiling(tuple(range(0, 6 * groups + 1, 2)), (0, 4, 37))
    plane = make_plane(device, tiling, rng.normal(size=tiling.shape), pulsed=False)
    plane.mask = rng.random(tiling.shape) < 0.5
    plane.layout = replace(plane.layout, there=rng.random(plane.layout.tiles.shape) < 0.7)
    there = np.repeat(plane.layout.there, 2, axis=0).repeat([4, 33], axis=1)
    samples = 3
    X = rng.normal(size=(samples * groups, rows, 37)).astype(np.float32)
    D = rng.normal(size=(samples * groups, rows, 6)).astype(np.float32)
    before, free = plane.W.copy(), plane.W.copy()
    for q in range(samples * groups):
        g = q % groups
        part = free[6 * g : 6 * g + 6]
        subtract_outer(0, 6, blas_routines(), part, X[q], D[q], np.float32(0.1))
    for a, b in ((0, 5), (5, 6 * groups)):
        subtract_held(
            a,
            b,
            blas_routines(),
            plane.W,
            X,
            D,
            np.float32(0.1),
            0,
            rows,
            held_of(plane, samples * rows),
        )
    trained = plane.mask & there
    np.testing.assert_array_equal(plane.W[~trained], before[~trained])
    np.testing.assert_allclose(plane.W[trained], free[trained], rtol=0, atol=1e-5)


def test_rows_cut_over_threads_get_the_same_bits() -> None:
    """Of row blocks that begin anywhere; so many positions that a product's bits tell its rows."""
    rng = np.random.default_rng(0)
    tiling = Tiling((0, 20, 40, 60), (0, 33))
    X = rng.normal(size=(1, 2304, 33)).astype(np.float32)
    D = rng.normal(size=(1, 2304, 60)).astype(np.float32)
    found = []
    for rows in ([(0, 60)], [(0, 32), (32, 60)], [(0, 16), (16, 48), (48, 60)]):
        plane = make_plane(make_device("ideal", {}), tiling, np.zeros((60, 33)), pulsed=False)
        plane.mask = np.random.default_rng(1).random((60, 33)) < 0.7
        held = held_of(plane, 2304)
        assert not held.columns.size  # by products
        for a, b in rows:
            step = np.float32(0.01)
            subtract_held(a, b, blas_routines(), plane.W, X, D, step, 0, 2304, held)
        found.append(plane.W)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
