"""Parameters of devices are found again in the curves that rpucc's own devices give.

Quick: one set of curves a model, every number within four of its own standard errors. Slow: the
mean over 100 sets of curves within three of its standard errors, so no bias.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from rpucc.runtime.devices import make_device
from rpucc.runtime.fitting.catalogue import FIT_MODELS
from rpucc.runtime.fitting.fit import Fits, fit_curves

from .curves_of import curves_of

SPREADS = {"dw_min_dtod": 0.2, "up_down": 0.1, "up_down_dtod": 0.05, "dw_min_std": 0.4}
BOUNDS = {"w_max": 0.6, "w_max_dtod": 0.1, "w_min": -0.5, "w_min_dtod": 0.1}
DEVICES: dict[str, dict[str, Any]] = {
    "constant-step": {"dw_min": 0.006, **SPREADS, **BOUNDS},
    "linear-step": {
        "dw_min": 0.008,
        **SPREADS,
        **BOUNDS,
        "gamma_up": 0.6,
        "gamma_up_dtod": 0.1,
        "gamma_down": 0.4,
        "gamma_down_dtod": 0.1,
    },
    "soft-bounds": {"dw_min": 0.01, **SPREADS, **BOUNDS},
}
"""Model -> parameters whose devices all reach their bounds in LEGS, where steps let them."""
LEGS = (300, -400)


def test_every_fitted_model_is_tested() -> None:
    assert set(DEVICES) == set(FIT_MODELS)


def fitted(name: str, seed: int, devices: int, read: float) -> Fits:
    device = make_device(name, DEVICES[name])
    return fit_curves(curves_of(device, devices, LEGS, seed, read), [name])


@pytest.mark.parametrize("name", ["linear-step", "soft-bounds"])
def test_one_set_of_curves(name: str) -> None:
    found = fitted(name, 3, 12, 0.005)
    for each in found.best.parameters:
        true = DEVICES[name][each.key]
        assert each.value == pytest.approx(true, abs=4 * each.error), each.key
        assert 0 < each.error < 0.7 * abs(true), each.key
    assert found.best.read_noise == pytest.approx(0.005, rel=0.05)
    assert found.best.test.passed


@pytest.mark.slow
@pytest.mark.parametrize("name", list(DEVICES))
def test_no_bias(name: str) -> None:
    repeats = 100
    values: dict[str, list[float]] = {}
    errors: dict[str, list[float]] = {}
    passed = 0
    for seed in range(repeats):
        best = fitted(name, seed, 16, 0.005).best
        passed += best.test.passed
        for each in best.parameters:
            values.setdefault(each.key, []).append(each.value)
            errors.setdefault(each.key, []).append(each.error)
    off = {}
    for key, found in values.items():
        spread = float(np.std(found, ddof=1))
        off[key] = (np.mean(found) - DEVICES[name][key]) / (spread / math.sqrt(repeats))
        assert np.median(errors[key]) == pytest.approx(spread, rel=0.35), key  # errors are honest
    assert max(map(abs, off.values())) < 3, off
    assert passed > 0.97 * repeats
