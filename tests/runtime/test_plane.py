"""Planes: devices fabricated tile by tile from named draws, weights programmed within range."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rpucc.runtime import fabrication, layout
from rpucc.runtime.devices import make_device
from rpucc.runtime.kernels.coincidences.rows import limit_unit
from rpucc.runtime.kernels.fabricate import grid_normals
from rpucc.runtime.kernels.philox import FABRICATE, seed_key
from rpucc.runtime.reference.philox import normals

from .bounds import correlation, deviations
from .tilings import Tiling, make_plane

BASELINE = make_device("constant-step", {})
TILING = Tiling((0, 3, 7), (0, 70, 75, 139), first_tile=5)


def fabricate(tiling: Tiling, index: int, seed: int) -> np.ndarray:
    out = np.empty(tiling.shape, np.float32)
    scratch = np.empty(int(np.max(np.diff(tiling.cols))) + 128, np.float32)
    grid_normals(
        out, 0, tiling.rows, tiling.cols, tiling.tiles, FABRICATE, index, *seed_key(seed), scratch
    )
    return out


@pytest.mark.parametrize("tiling", [TILING, Tiling((0, 5), (0, 7)), Tiling((0, 1, 2), (0, 1, 2))])
@pytest.mark.parametrize("index", [0, 3])
def test_normals_equal_the_reference(tiling: Tiling, index: int) -> None:
    """Element r * columns + c of each tile's own stream."""
    out = fabricate(tiling, index, 2**33 + 7)
    for tile, rows, cols in tiling.blocks():
        part = out[rows, cols]
        elements = np.arange(part.size).reshape(part.shape)
        expected = normals(elements, index, FABRICATE << 24 | tile, 0, (7, 2))
        np.testing.assert_allclose(part, expected, rtol=0, atol=5e-6)


def test_devices_are_named_by_seed_tile_and_parameter() -> None:
    tiling = Tiling((0, 64, 128), (0, 64, 128))
    base = make_plane(BASELINE, tiling, seed=1).parameters
    np.testing.assert_array_equal(base, make_plane(BASELINE, tiling, seed=1).parameters)
    others = [
        make_plane(BASELINE, tiling, seed=2).parameters,
        make_plane(BASELINE, replace(tiling, first_tile=4), seed=1).parameters,
    ]
    for other in others:
        for a, b in zip(base, other, strict=True):
            r, error = correlation(a, b)
            assert abs(r) < deviations(8) * error
    quarters = [base[2, r : r + 64, c : c + 64] for r in (0, 64) for c in (0, 64)]
    for i, a in enumerate(quarters):
        for b in quarters[:i]:
            r, error = correlation(a, b)
            assert abs(r) < deviations(6) * error


def test_a_tile_is_the_same_device_wherever_it_lies() -> None:
    """Tile 1 alone, and beside tile 0: the same array, the same devices."""
    both = make_plane(BASELINE, Tiling((0, 6), (0, 4, 9)))
    alone = make_plane(BASELINE, Tiling((0, 6), (0, 5), first_tile=1))
    np.testing.assert_array_equal(both.parameters[:, :, 4:], alone.parameters)


@pytest.mark.parametrize("packed", [True, False])
def test_blocks_of_rows_give_the_same_devices(
    packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A matrix that is fabricated in many blocks is the one that is fabricated at once."""
    device = make_device("constant-step", {"w_max": 0.1})
    monkeypatch.setattr(type(device), "packed", packed)
    start = np.random.default_rng(3).uniform(-0.3, 0.3, TILING.shape).astype(np.float32)
    whole = make_plane(device, TILING, start)
    for devices in (1, 2 * TILING.shape[1], 3 * TILING.shape[1]):
        monkeypatch.setattr(layout, "BLOCK_DEVICES", devices)
        parts = make_plane(device, TILING, start)
        np.testing.assert_array_equal(parts.codes, whole.codes)
        np.testing.assert_array_equal(parts.ranges, whole.ranges)
        np.testing.assert_array_equal(parts.W, whole.W)
        assert parts.clipped == whole.clipped > 0


def test_parameters_are_stored_in_the_order_of_per_device() -> None:
    plane = make_plane(BASELINE, TILING)
    assert plane.parameters.shape == (4, *TILING.shape)
    assert plane.parameters.dtype == np.float32
    up, down, w_max, w_min = plane.parameters
    for values, mean in ((up, 0.001), (down, 0.001), (w_max, 0.6), (-w_min, 0.6)):
        assert abs(values.mean() / mean - 1) < 0.3 * deviations(4) / np.sqrt(values.size)
    np.testing.assert_array_equal(plane.constants, np.array([0.3], np.float32))
    # Weights 4 bytes, parameters 2 each, limit 1; the ranges of a tile's four parameters 32.
    assert plane.bytes == 13 * TILING.shape[0] * TILING.shape[1] + 32 * TILING.tiles.size


def test_packed_parameters_are_as_fabricated_but_for_half_a_step() -> None:
    """65536 steps between a tile's smallest and largest value: 6 sigma of 30 % in 3e-5 of it."""
    plane = make_plane(BASELINE, TILING)
    exact = fabrication.draw(plane, slice(0, TILING.shape[0]))
    for packed, values in zip(plane.parameters, exact, strict=True):
        for _, rows, cols in TILING.blocks():
            tile, found = values[rows, cols], packed[rows, cols]
            step = (tile.max() - tile.min()) / 65535
            assert np.abs(found - tile).max() < 0.51 * step + 1e-7 * np.abs(tile).max()
            assert found.min() == tile.min()
            assert np.unique(found).size > 0.9 * found.size


def test_parameters_of_one_value_and_unpacked_ones_are_exact() -> None:
    same = {"dw_min_dtod": 0, "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0}
    plane = make_plane(make_device("constant-step", same), TILING)
    for values, mean in zip(plane.parameters, (0.001, 0.001, 0.6, -0.6), strict=True):
        assert np.all(values == np.float32(mean))
    plain = make_plane(make_device("ideal", {}), TILING)
    assert plain.codes.dtype == np.float32
    assert plain.bytes == plain.W.nbytes


def test_weights_are_clipped_to_their_devices() -> None:
    W = np.random.default_rng(1).uniform(-1, 1, TILING.shape).astype(np.float32)
    plane = make_plane(BASELINE, TILING, W)
    low, high = plane.parameters[3], plane.parameters[2]
    np.testing.assert_array_equal(plane.W, np.clip(W, low, high))
    assert plane.clipped == np.count_nonzero(plane.W != W) > 100
    assert make_plane(make_device("ideal", {}), TILING, W).clipped == 0


def test_exact_updates_need_no_devices() -> None:
    """Not pulsed: weights beyond any device's bound stay, and nothing is fabricated."""
    W = np.full(TILING.shape, 5.0, np.float32)
    plane = make_plane(BASELINE, TILING, W, pulsed=False)
    assert np.all(plane.W == 5)
    assert plane.clipped == 0
    assert plane.parameters.shape == (0, *TILING.shape)


@pytest.mark.parametrize("spread", [0.3, 0.0])
def test_limits_are_the_nearer_bound_rounded_down(spread: float) -> None:
    """Within a 255th of the tile's highest bound, and never beyond the device's own."""
    plane = make_plane(make_device("constant-step", {"w_max_dtod": spread}), TILING)
    nearer = np.minimum(plane.parameters[2], -plane.parameters[3])
    for b, s in np.ndindex(*plane.layout.tiles.shape):
        rows, cols = (slice(*cuts[i : i + 2]) for cuts, i in ((TILING.rows, b), (TILING.cols, s)))
        unit = limit_unit.py_func(plane.ranges[b, s])
        limits = plane.limits[rows, cols] * unit
        assert np.all(limits <= nearer[rows, cols])
        assert np.all(limits > nearer[rows, cols] - 1.001 * unit)
        assert unit < 1.001 * plane.parameters[2, rows, cols].max() / 255
