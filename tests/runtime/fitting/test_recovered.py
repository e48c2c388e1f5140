"""Parameters of devices are found again in the curves that rpucc's own devices give.

Quick: one set of curves of some models, every number within four of its own standard errors. Slow:
of all, the mean over 100 sets of curves within three of its standard errors, so no bias.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.devices import make_device
from rpucc.runtime.fitting.catalogue import FIT_MODELS
from rpucc.runtime.fitting.fit import Fits, fit_curves
from rpucc.runtime.fitting.models import Parameter
from rpucc.runtime.fitting.tables import column

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
    "exp-step": {
        "dw_min": 0.012,
        **SPREADS,
        **BOUNDS,
        "A_up": 0.2,
        "gamma_up": 2.0,
        "A_down": 0.1,
        "gamma_down": 3.0,
        "a": 0.5,
        "b": 0.0,
    },
    "pow-step": {
        "dw_min": 0.02,
        **SPREADS,
        **BOUNDS,
        "pow_gamma": 1.6,
        "pow_gamma_dtod": 0.1,
        "pow_up_down": 0.1,
        "pow_up_down_dtod": 0.1,
    },
    "piecewise-step": {
        "dw_min": 0.008,
        **SPREADS,
        **BOUNDS,
        "nodes_up": (1.5, 1.4, 1.2, 1.0, 0.7, 0.5, 0.3),
        "nodes_down": (0.4, 0.6, 0.7, 1.0, 1.2, 1.6, 2.0),
    },
    "table-step": {
        "dw_min": 0.008,
        **SPREADS,
        **BOUNDS,
        "nodes_up": (1.5, 1.4, 1.2, 1.0, 0.7, 0.5, 0.3),
        "nodes_down": (0.4, 0.6, 0.7, 1.0, 1.2, 1.6, 2.0),
        "spreads_up": (0.24, 0.28, 0.32, 0.4, 0.48, 0.44, 0.4),
        "spreads_down": (0.32, 0.32, 0.32, 0.4, 0.48, 0.6, 0.8),
        "dw_min_std": 1.0,
    },
}
"""Model -> parameters whose devices all reach their bounds in LEGS, where steps let them."""
LEGS = (300, -400)
SHAPED = ("exp-step", "pow-step", "piecewise-step", "table-step")
BOTH_WAYS = (-200, 200, -200, 200)
"""Legs of these, in which devices pass their whole range both ways."""


def test_every_fitted_model_is_tested() -> None:
    assert set(DEVICES) == set(FIT_MODELS)


def fitted(name: str, seed: int, devices: int, read: float) -> Fits:
    device = make_device(name, DEVICES[name])
    legs = BOTH_WAYS if name in SHAPED else LEGS
    return fit_curves(curves_of(device, devices, legs, seed, read), [name])


def numbers(found: Fits, true: dict[str, Any]) -> Iterator[tuple[str, float, float, float]]:
    """Yield (name, value, standard error, true value) of all that was fitted, tables row by row."""
    for each in found.best.parameters:
        rows = zip(each.errors, each.value, true[each.key], strict=True) if each.errors else ()
        for k, (error, value, expected) in enumerate(rows):
            if error > 0:  # not the row that the others are in units of
                yield f"{each.key} {k}", value, error, expected
        if math.isfinite(each.error):
            yield each.key, each.value, each.error, true[each.key]


@pytest.mark.parametrize(
    "name",
    ["soft-bounds", "pow-step", "table-step", pytest.param("exp-step", marks=pytest.mark.slow)],
)
def test_one_set_of_curves(name: str) -> None:
    found = fitted(name, 3, 8, 0.005)
    values = [*numbers(found, DEVICES[name])]
    assert len(values) >= 9
    for key, value, error, true in values:
        assert value == pytest.approx(true, abs=4 * error), key
        assert 0 < error < 0.7 * abs(true), key
    assert found.best.read_noise == pytest.approx(0.005, rel=0.05)
    assert found.best.test.passed


def test_rows_that_no_pulse_tells_are_as_the_next() -> None:
    """From 0 up and all the way down: nothing is known of steps up from below 0."""
    device = make_device("piecewise-step", DEVICES["piecewise-step"])
    found = fit_curves(curves_of(device, 4, LEGS, 5, 0.002), ["piecewise-step"]).best
    (up,) = (each for each in found.parameters if each.key == "nodes_up")
    assert up.errors[:2] == (math.inf, math.inf)
    assert up.value[0] == up.value[1] == up.value[2]
    assert up.note.startswith("standard errors not told: as the next, not told: as the next, 0.")
    assert up.value[4:] == pytest.approx((0.7, 0.5, 0.3), rel=0.2)


def test_a_column_of_which_nothing_is_told_is_as_its_best_row() -> None:
    """As of reads with errors of many steps, which hide the noise of steps."""
    found = column("spreads_up", [Parameter("", 3.0, 10.0), Parameter("", 2.0, 5.0)])
    assert found.value == (2.0, 2.0)
    assert found.errors == (math.inf, math.inf)


def test_too_few_reads_for_a_table() -> None:
    curves = curves_of(make_device("soft-bounds", {"dw_min": 0.05}), 2, (40, -40), 1, 0.005)
    line = "table-step is not fitted: its 36 numbers need 180 reads that tell where known pulses"
    with pytest.raises(DataError, match=line):
        fit_curves(curves, ["table-step"])
    found = fit_curves(curves, ["soft-bounds", "table-step"])
    assert [each.name for each in found.fits] == ["soft-bounds"]
    assert next(iter(found.notes)).startswith(line)


EXACT = ("constant-step", "linear-step", "soft-bounds")
"""Models that exact reads are tried of, too."""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "read"), [(n, 0.005) for n in DEVICES] + [(n, 0.0) for n in EXACT]
)
def test_no_bias(name: str, read: float) -> None:
    repeats = 100
    rows = []
    passed = 0
    for seed in range(repeats):
        found = fitted(name, seed, 8 if name in SHAPED else 16, read)
        passed += found.best.test.passed
        rows.append([*numbers(found, DEVICES[name])])
    off = {}
    for each in zip(*rows, strict=True):
        key, true = each[0][0], each[0][3]
        values, errors = np.array([row[1] for row in each]), [row[2] for row in each]
        spread = float(np.std(values, ddof=1))
        off[key] = (np.mean(values) - true) / (spread / math.sqrt(repeats))
        assert np.median(errors) == pytest.approx(spread, rel=0.35), key  # errors are honest
    assert max(map(abs, off.values())) < 3, off
    assert passed > 0.97 * repeats
