"""Where weights lie between the bounds of their devices, and how up and down steps differ."""

from __future__ import annotations

import numpy as np
import pytest

import rpucc
from rpucc.runtime.data.pictures import MOST, is_image, pictures
from rpucc.runtime.histogram import BINS, Histogram, histogram
from rpucc.runtime.plane_figures import SEEN, device_figures, state_figures

from .small import tiny


def array(target: str, *overrides: str) -> rpucc.Array:
    machine = rpucc.Machine(tiny(target, "", *overrides), seed=1)
    return machine.arrays["fc.w"] if "fc.w" in machine.arrays else list(machine.arrays.values())[1]


@pytest.mark.parametrize("size", [1, 7, 1000, 3_000_000])
def test_a_histogram_counts_every_value_once(size: int) -> None:
    values = np.random.default_rng(0).normal(0.1, 0.3, size).astype(np.float32)
    found = histogram(values)
    assert found.total == size
    assert found.low <= values.min()
    assert found.high == pytest.approx(values.max(), rel=1e-3, abs=1e-3)
    assert found.mean == pytest.approx(values.mean(), abs=found.step)
    if size > 1:
        assert BINS[0] <= len(found.counts) <= BINS[1]
        expected, _ = np.histogram(values, len(found.counts))
        assert np.abs(np.array(found.counts) - expected).max() <= 2 + size * 1e-4  # at the borders


@pytest.mark.parametrize(
    "values", [[-3e38, 3e38, 1e37], [0, 3e38, 3e38], [3e-45, 0, 3e-45], [1e-40, 1e-39, 0]]
)
def test_a_histogram_of_what_float32_hardly_holds(values: list[float]) -> None:
    """Ranges beyond the largest number, and bins below the smallest."""
    found = histogram(np.array(values, np.float32))
    expected, _ = np.histogram(values, len(found.counts))
    assert found.counts == tuple(expected)


def test_a_histogram_of_nothing_or_of_no_range_is_refused() -> None:
    for wrong in ((0.0, 0.0, (1,)), (float("nan"), 1.0, (1,)), (0.0, 1.0, ()), (0.0, 1.0, (-1,))):
        with pytest.raises(ValueError, match="its"):
            Histogram(*wrong)


def test_devices_at_a_bound_are_counted_on_their_side() -> None:
    found = array("rpu-managed", "device.w_max_dtod=0", "device.w_min_dtod=0")
    W = np.zeros(found.main.W.shape, np.float32)
    W[0, :5], W[1, :2] = 5.0, -5.0  # programmed to their bounds
    found.program(W)
    (state,) = state_figures(found)
    assert state.at_upper == 5 / W.size
    assert state.at_lower == 2 / W.size
    assert state.weights.low == pytest.approx(-0.6)
    (devices,) = device_figures(found)
    assert devices.upper is not None
    assert devices.upper.mean == pytest.approx(0.6, rel=1e-2)
    assert devices.stuck == 7  # all are tried: 3 rows of 37


def test_devices_without_bounds_have_none() -> None:
    found = array("ideal", "update.pulsed=true")
    (state,) = state_figures(found)
    assert (state.at_lower, state.at_upper) == (None, None)
    (devices,) = device_figures(found)
    assert (devices.lower, devices.upper, devices.stuck) == (None, None, 0)
    assert devices.step_up == pytest.approx(devices.step_down)


def test_exact_updates_have_no_steps() -> None:
    found = array("ideal")
    assert device_figures(found) == []
    assert len(state_figures(found)) == 1


@pytest.mark.parametrize("up_down", [-0.1, 0.0, 0.2])
def test_the_asymmetry_is_that_of_the_devices(up_down: float) -> None:
    """Steps are (1 + β) and (1 - β) times one: their difference is 2 β of their mean."""
    found = array("rpu-managed", f"device.up_down={up_down}", "device.up_down_dtod=0")
    (devices,) = device_figures(found)
    assert devices.asymmetry_mean == pytest.approx(2 * up_down, abs=2e-3)
    assert devices.asymmetry_std < 0.03  # some are within a step of a bound


def test_soft_bounds_are_asymmetric_where_the_weights_are() -> None:
    found = array("soft-bounds", "device.up_down_dtod=0")
    found.program(np.full(found.main.W.shape, 0.3, np.float32))
    (devices,) = device_figures(found)
    assert devices.step_up < devices.step_down
    assert devices.asymmetry_mean < -0.05


def test_a_cell_has_a_state_for_what_reads_see_and_each_plane() -> None:
    found = array("soft-bounds", "cell.model=tiki-taka", "cell.gamma=0.2", "calibration.pairs=50")
    assert [state.plane for state in state_figures(found)] == [SEEN, *found.planes]
    assert [devices.plane for devices in device_figures(found)] == list(found.planes)


# ---------------------------------------------------------------- pictures


@pytest.mark.parametrize("shape", [(1, 28, 28), (28, 28), (28, 28, 1)])
def test_grey_images_become_pixels(shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, *shape)).astype(np.uint8)
    (found,) = pictures(x, [2], (0.0, 1.0))
    np.testing.assert_array_equal(found, x[2].reshape(28, 28))
    (scaled,) = pictures(x.astype(np.float32) / 255 * 2 - 1, [2], (-1.0, 1.0))
    np.testing.assert_array_equal(scaled, found)


def test_coloured_images_keep_their_colours_and_large_ones_shrink() -> None:
    x = np.zeros((1, 3, 500, 300), np.uint8)
    x[0, 0] = 200
    (found,) = pictures(x, [0], (0.0, 1.0))
    assert found.shape == (100, 60, 3)
    assert max(found.shape) <= MOST
    assert found[5, 5].tolist() == [200, 0, 0]


def test_images_of_several_inputs_stand_side_by_side() -> None:
    samples = {"a": np.zeros((2, 1, 9, 8), np.uint8), "b": np.zeros((2, 3, 10, 12), np.uint8)}
    (found,) = pictures(samples, [1], (0.0, 1.0))
    assert found.shape == (10, 8 + 2 + 12, 3)


@pytest.mark.parametrize("shape", [(12,), (3, 5), (7, 20), (16, 10, 10), (1, 1, 30)])
def test_what_is_no_image_has_no_picture(shape: tuple[int, ...]) -> None:
    assert not is_image(shape)
    assert pictures(np.zeros((2, *shape), np.float32), [0], (0.0, 1.0)) == []
