"""The response curve: pulses up, then down, of a seeded sample, against the plain step."""

from __future__ import annotations

import numpy as np
import pytest

from rpucc.runtime.devices import make_device
from rpucc.runtime.response import LEG_POINTS, response

SAME = {
    "dw_min_dtod": 0.0, "up_down_dtod": 0.0, "w_max_dtod": 0.0, "w_min_dtod": 0.0,
    "dw_min_std": 0.0,
}  # fmt: skip


def test_ideal_devices_go_up_and_come_back() -> None:
    found = response(make_device("ideal", {"dw_min": 0.25}), devices=3, pulses=4)
    np.testing.assert_array_equal(found.pulses, np.arange(9))
    np.testing.assert_array_equal(found.mean, [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0])
    assert not found.std.any()
    assert found.symmetry is None


def test_soft_bounds_follow_their_exponential() -> None:
    """Up, w(n) = w_max (1 - (1 - k)^n), k = a / w_max; down, w_min - w shrinks by (1 - k)^n."""
    device = make_device("soft-bounds", {**SAME, "dw_min": 0.01, "w_max": 0.5, "w_min": -0.5})
    found = response(device, devices=2, pulses=250)
    assert len(found.pulses) == 2 * LEG_POINTS + 1
    assert found.leg == 250
    up, down = found.pulses[: LEG_POINTS + 1], found.pulses[LEG_POINTS:] - 250
    rise = 0.5 * (1 - 0.98**up)
    fall = (rise[-1] + 0.5) * 0.98**down - 0.5
    np.testing.assert_allclose(found.mean, [*rise, *fall[1:]], atol=1e-5)
    np.testing.assert_allclose(found.symmetry, 0, atol=1e-7)


def test_the_points_are_parts_of_one_pulse_train() -> None:
    """Where the curve is looked at changes nothing: pulses keep their noise."""
    device = make_device("soft-bounds", {"dw_min": 0.01})
    every = response(device, devices=5, pulses=LEG_POINTS, seed=3)
    longer = response(device, devices=5, pulses=3 * LEG_POINTS, seed=3)
    same = longer.pulses[: LEG_POINTS // 3 + 1]
    np.testing.assert_array_equal(longer.weights[:, : len(same)], every.weights[:, same])
    other = response(device, devices=5, pulses=LEG_POINTS, seed=4)
    assert np.mean(other.weights == every.weights) < 0.1


@pytest.mark.parametrize("model", ["constant-step", "linear-step", "soft-bounds"])
def test_as_many_pulses_as_lead_near_the_bounds(model: str) -> None:
    device = make_device(model, {"dw_min": 0.01, "up_down": 0.1})
    found = response(device, devices=200)
    assert found.leg == pytest.approx(120, rel=0.1)
    assert 0.4 < found.mean[LEG_POINTS] < 0.7
    assert found.mean[-1] < 0
    if model == "constant-step":
        assert found.symmetry is None
    else:
        assert found.symmetry is not None
        assert found.symmetry.mean() == pytest.approx(0.06 if model == "soft-bounds" else 0.12, 0.2)
