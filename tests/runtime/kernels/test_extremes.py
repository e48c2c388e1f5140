"""Whatever numbers come in, kernels stay within their arrays: what becomes an index is clamped.

Kernels are compiled for finite numbers. Rates, inputs and errors that overflow to infinity or NaN
may give any weights, and training says that it diverged; they may not reach other memory.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numba as nb
import numpy as np
import pytest

from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.kernels.coincidences.rows import tightest
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.pulses import all_gains, list_lines
from rpucc.runtime.plane import Plane
from rpucc.runtime.reference.update import threshold
from rpucc.runtime.scalars.floats import whole
from rpucc.runtime.scalars.mean import MOST_PARTS, parts_of

from ..tilings import GUARD_VALUE, Guarded, Pulsing, Tiling, make_plane, pulse
from . import test_cells
from .test_update import COUNTED, DEVICE, LINEAR, POSITIONS, SOFT, TILING, batch, start

f32 = np.float32
EXTREME = np.array(
    [0, -0.0, 1, -1, 1e-45, 1e-38, 1e20, -1e38, 3.4e38, np.inf, -np.inf, np.nan, -np.nan], f32
)
RATES = [0.0, 1e-45, 1.0, 1e30, 1e38, 3.4e38, np.inf, np.nan, -1.0]

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")


def extreme(array: np.ndarray, seed: int, share: float) -> np.ndarray:
    """The array with extremes in a share of its places."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(array.shape) < share, rng.choice(EXTREME, array.shape), array)


def guard_weights(plane: Plane) -> Guarded:
    """Put the plane's weights into memory that ends in guard values."""
    guarded = Guarded()
    W = guarded(plane.W.shape, f32)
    W[:] = plane.W
    plane.W = W
    return guarded


@pytest.mark.parametrize("lr", RATES)
@pytest.mark.parametrize("device", [COUNTED, DEVICE, LINEAR, SOFT], ids=lambda each: each.name)
def test_updates_stay_within_their_arrays(device: Device, lr: float) -> None:
    """Scratch and weights end in guard values; columns that are read as zeros never fire."""
    for bl, managed, bl_managed in product([1, 10, 40], [False, True], [False, True]):
        how = Pulsing(lr, bl, managed, bl_managed, POSITIONS, chunk=3)
        for seed, share in enumerate((0.0, 0.3, 1.0)):
            X, D = (extreme(each, seed, share) for each in batch(seed))
            plane = make_plane(device, TILING, start())
            guarded = guard_weights(plane)
            assert pulse(plane, X, D, how) >= 0
            guarded.check()


@pytest.mark.parametrize("device", [COUNTED, SOFT], ids=lambda each: each.name)
def test_no_gain_moves_the_tiles_beside(device: Device) -> None:
    """0 times infinity fired the zeros behind the last column: weights of the next tile moved."""
    tiling = Tiling((0, 3), (0, 5, 19))
    X, D = np.zeros((1, 19), f32), np.ones((1, 3), f32)
    X[0, 0] = 1
    plane = make_plane(device, tiling)
    before = plane.W.copy()
    assert pulse(plane, X, D, Pulsing(3e38, 10, chunk=1)) == 30
    assert np.all(plane.W[:, 0] != before[:, 0])
    np.testing.assert_array_equal(plane.W[:, 1:], before[:, 1:])


@pytest.mark.parametrize("gain", EXTREME)
def test_lines_fire_as_the_reference_has_it(gain: np.float32) -> None:
    values = extreme(np.zeros((1, 64), f32), 1, 0.9)
    gains, lengths = np.array([abs(gain)], f32), np.array([10], np.int32)
    lines, levels = (np.zeros(64 + 16, np.int32) for _ in range(2))
    live = list_lines(values, 0, 1, 0, 64, gains, lengths, lines, levels)
    found = np.zeros(64, np.int64)
    found[lines[:live]] = levels[:live]
    wanted = np.ceil(np.minimum(threshold(values[0].astype(float), abs(float(gain))), 2.0**24))
    np.testing.assert_array_equal(found, np.maximum(wanted, 0))


@pytest.mark.parametrize("name", ["soft-bounds", "constant-step"])
@pytest.mark.parametrize("lr", RATES)
def test_cells_stay_within_their_arrays(name: str, lr: float) -> None:
    device = make_device(name, {"dw_min": 0.005})
    for seed, share in enumerate((0.0, 0.3, 1.0)):
        slow, fast = test_cells.planes(device)
        guards = guard_weights(slow), guard_weights(fast)
        fast.W[:] = extreme(fast.W, seed, share)
        vectors = tuple(extreme(each, seed, share) for each in test_cells.data(seed))
        how = test_cells.How(lr, transfer_lr=lr, every=1, noise=0.06 if seed else 0.0)
        most = slow.W.size * test_cells.POSITIONS * test_cells.SAMPLES * (how.bl + how.transfer_bl)
        assert 0 <= test_cells.run(slow, fast, how, vectors=vectors) <= most  # type: ignore[arg-type]
        for guarded in guards:
            guarded.check()


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """A kernel that calls a scalar function, so that it is optimised with what is around it."""
    inside = inlined(function)

    @kernel
    def call(arguments, out):  # type: ignore[no-untyped-def]
        for i in range(out.shape[0]):
            a, b, c, d = arguments[i]
            out[i] = inside(a * b, c) + nb.int32(0) * nb.int32(d)

    return call


def test_whole_numbers_are_in_range() -> None:
    a = EXTREME
    arguments = np.array(list(product(a, a, f32([0, 4, 255, 2**24]), [f32(0)])), f32)
    out = np.full(len(arguments), -7, np.int64)
    compiled(whole)(arguments, out)
    with np.errstate(all="ignore"):
        plain = [int(whole(f32(x * y), top)) for x, y, top, _ in arguments]
    np.testing.assert_array_equal(out, plain)
    assert np.all((out >= 0) & (out <= arguments[:, 2]))


def test_parts_and_slots_are_in_range() -> None:
    for x, d, lr, dw_min in product(EXTREME, EXTREME, f32(RATES), f32([0, 1e-45, 1e-9, 1])):
        with np.errstate(all="ignore"):
            assert 0 <= parts_of(abs(x), abs(d), lr, dw_min) <= MOST_PARTS
    X, D = (each.reshape(-1, 1) for each in np.meshgrid(EXTREME, EXTREME))
    for lr, dw_min, managed, bl_managed in product(RATES, [1e-45, 1e-9, 1], [0, 1], [0, 1]):
        gains, lengths = np.zeros((2, len(X)), f32), np.zeros(len(X), np.int32)
        rates = f32(lr), f32(dw_min)
        all_gains(X, D, 0, len(X), *rates, 10, bool(managed), bool(bl_managed), gains, lengths)
        assert set(lengths.tolist()) <= set(range(11))


def test_limits_of_devices_are_in_range() -> None:
    codes = np.random.default_rng(0).integers(0, 2**16, (4, 3, 8)).astype(np.uint16)
    for low, scale in product(EXTREME, EXTREME):
        ranges = np.full((1, 1, 4, 2), [low, scale], f32)
        limits = np.full((5, 8), GUARD_VALUE, np.uint8)
        tightest(codes, ranges, np.array([0, 3]), np.array([0, 8]), limits)
        assert np.all(limits[3:] == GUARD_VALUE)
