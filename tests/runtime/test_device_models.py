"""The device models against their float64 statement: one pulse, spreads, symmetry, granularity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr
from scipy.stats import ks_2samp

from rpucc.errors import TargetError
from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.linear_forms import GeneralLinearStep, GeneralSoftBounds
from rpucc.runtime.devices.linear_step import LinearStep
from rpucc.runtime.devices.symmetry import symmetry_points

from .bounds import deviations, kolmogorov_smirnov
from .published import MIRRORED, pulse, sample

SHAPE = (200, 150)
N = SHAPE[0] * SHAPE[1]
RERAM_ES = {
    **MIRRORED, "dw_min": 0.00135, "up_down": 0.259359, "up_down_dtod": 0.05, "w_max": 1.0,
    "w_min": -1.0, "dw_min_dtod": 0.2, "dw_min_std": 5.0, "a": -0.5, "b": -0.5, "gamma_up": 5.0,
    "gamma_down": 5.0, "A_up": -1.18445, "A_down": -0.081404,
}  # fmt: skip
PCM = {
    **MIRRORED, "dw_min": 0.01, "up_down_dtod": 0.05, "w_max": 2.0, "w_max_dtod": 0.1,
    "w_min": 0.0, "w_min_dtod": 0.1, "dw_min_dtod": 0.2, "dw_min_std": 0.6, "a": -1.0, "b": 0.0,
    "gamma_up": 2.5, "gamma_down": 2.5, "A_up": -27.235, "A_down": -2.235,
    "dw_min_std_add": 0.042, "dw_min_std_slope": 0.108,
}  # fmt: skip
ARRAY = {
    **MIRRORED, "dw_min": 0.0949, "w_max": 1.0, "w_max_dtod": 0.3499, "w_min": -1.0,
    "w_min_dtod": 0.5695, "dw_min_dtod": 0.7829, "dw_min_log_normal": True, "dw_min_std": 0.4158,
    "mult_noise": False,
}  # fmt: skip
NODES = {"nodes_up": (2.0, 1.5, 0.25), "nodes_down": (0.25, 1.0, 3.0)}
TABLE = {
    "states": (5.0, 20.0, 35.0), **NODES, "spreads_up": (0.5, 2.0, 1.0),
    "spreads_down": (3.0, 1.0, 0.0), "dw_min_std": 0.4,
}  # fmt: skip
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "constant": ("constant-step", MIRRORED),
    "linear, mean bounds": ("linear-step", {"gamma_up": 0.1153, "gamma_down": 0.5085,
                                            "mean_bound_reference": True, **MIRRORED}),
    "linear, additive": ("linear-step", {"mult_noise": False}),
    "soft": ("soft-bounds", MIRRORED),
    "soft, additive": ("soft-bounds", ARRAY),
    "soft, referred": ("soft-bounds", {**ARRAY, "subtract_symmetry_point": True,
                                       "reference_std": 0.05}),
    "exponential": ("exp-step", RERAM_ES),
    "one-sided": ("exp-step", PCM),
    "power": ("pow-step", {"pow_gamma": 1.7, "pow_up_down": 0.2, "pow_up_down_dtod": 0.1}),
    "pieces": ("piecewise-step", NODES),
    "one piece": ("piecewise-step", {}),
    "table": ("table-step", TABLE),
}  # fmt: skip


def normals(seed: int = 1, shape: tuple[int, int] = SHAPE) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda: rng.standard_normal(shape, np.float32)


def named(device: Device, fabricated: tuple[np.ndarray, ...]) -> dict[str, np.ndarray]:
    """What is kept of devices, by the names of the statement; bounds of the devices' own value."""
    kept = {k: v.astype(float) for k, v in zip(device.per_device, fabricated, strict=True)}
    short = {"dw_up": "up", "dw_down": "down", "w_max": "hi", "w_min": "lo", "slope_up": "ku",
             "slope_down": "kd", "gamma_up": "gu", "gamma_down": "gd"}  # fmt: skip
    found = {short.get(k, k): v for k, v in kept.items()}
    reference = found.setdefault("reference", np.zeros(SHAPE))
    return {**found, "hi": found["hi"] + reference, "lo": found["lo"] + reference}


def moved(device: Device, fabricated: tuple[np.ndarray, ...], w: Any, up: bool, z: Any) -> Any:
    """One pulse of `step` for every device, one by one."""
    constants = device.step_constants()
    direction = 1.0 if up else -1.0
    flat: Iterator[Any] = zip(w.ravel(), z.ravel(), *(a.ravel() for a in fabricated), strict=True)
    return np.array(
        [device.step(np.float64(a), direction, np.float64(b), *map(np.float64, own), *constants)
         for a, b, *own in flat]
    ).reshape(w.shape)  # fmt: skip


# --- one pulse -----------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_pulse_is_what_is_stated_of_it(case: str) -> None:
    model, parameters = CASES[case]
    device = make_device(model, parameters)
    small = (12, 9)
    fabricated = tuple(a[:12, :9] for a in device.fabricate(normals()))
    d = {k: v[:12, :9] for k, v in named(device, device.fabricate(normals())).items()}
    rng = np.random.default_rng(3)
    v = d["lo"] + rng.uniform(0, 1, small) * (d["hi"] - d["lo"])
    z = rng.standard_normal(small)
    for up in (True, False):
        expected = pulse(model, device.parameters, d, v, up, z) - d["reference"]
        found = moved(device, fabricated, v - d["reference"], up, z)
        np.testing.assert_allclose(found, expected, rtol=0, atol=3e-6)
        assert np.ptp(found - v + d["reference"]) > 0.1 * device.granularity


def test_additive_noise_is_that_of_the_bare_step_after_a_shift_too() -> None:
    """At the bound of soft bounds no step is left, and all of its noise."""
    device = make_device("soft-bounds", {"mult_noise": False, "dw_min_std": 0.5, "w_max_dtod": 0})
    kept = device.shifted(device.fabricate(normals()), np.full(SHAPE, 0.2, np.float32))
    bare = named(device, kept)["up"]
    w = np.full(SHAPE, 0.4 - 1e-9)
    down = moved(device, kept, w, True, np.full(SHAPE, -1.0))
    np.testing.assert_allclose(down - w, -0.5 * bare, atol=2e-6)


def test_reversed_slopes_grow_towards_the_bound() -> None:
    """The slope's bound is the other one, 0.01 further: 1 + γ w / 0.61 at its own bounds of 0.6."""
    quiet = {"dw_min_dtod": 0, "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0,
             "dw_min_std": 0, "gamma_up_dtod": 0, "gamma_down_dtod": 0}  # fmt: skip
    device = make_device("linear-step", {**quiet, "reverse_up": True, "reverse_down": True})
    assert device.mean_steps(0.3) == pytest.approx(
        (0.001 * (1 + 0.5 * 0.3 / 0.61), 0.001 * (1 - 0.5 * 0.3 / 0.61)), rel=1e-3
    )


# --- how devices are drawn -----------------------------------------------------------------------


@pytest.mark.parametrize("case", ["constant", "soft", "soft, additive", "exponential", "one-sided"])
def test_steps_and_bounds_are_distributed_as_stated(case: str) -> None:
    model, parameters = CASES[case]
    device = make_device(model, parameters)
    found = named(device, device.fabricate(normals()))
    rng = np.random.default_rng(7)
    expected = sample(device.parameters, lambda: rng.standard_normal(N))
    for name, values in expected.items():
        result = ks_2samp(found[name].ravel(), values).statistic
        assert result < kolmogorov_smirnov(N) * np.sqrt(2), name
    steps = found["up"] - found["down"]
    if device.parameters["up_down_dtod"]:
        assert abs(np.std(steps) / np.std(expected["up"] - expected["down"]) - 1) < 0.05


def test_one_sided_asymmetry_shrinks_one_side() -> None:
    quiet = {"dw_min_dtod": 0, "up_down_dtod": 0, "asymmetry": "one-sided"}
    for beta, up, down in ((0.25, 0.001, 0.00075), (-0.25, 0.00075, 0.001)):
        kept = make_device("constant-step", {**quiet, "up_down": beta}).fabricate(normals())
        np.testing.assert_allclose(kept[0], up, rtol=1e-6)
        np.testing.assert_allclose(kept[1], down, rtol=1e-6)
    floored = make_device("constant-step", {"asymmetry": "one-sided", "dw_min_dtod": 2.0})
    assert floored.fabricate(normals())[0].min() == pytest.approx(1e-5)


def test_mirrored_devices_keep_the_magnitude_and_swap_bounds() -> None:
    wide = {"consistency": "mirror", "w_max_dtod": 2.0, "w_min": -0.01, "dw_min_dtod": 2.0}
    device = make_device("constant-step", wide)
    kept = named(device, device.fabricate(normals()))
    assert kept["up"].min() < 1e-7 <= 1e-3 < kept["up"].max()
    assert np.all(kept["hi"] >= 0)
    assert np.all(kept["lo"] <= 0)
    below = np.mean(-kept["lo"] > 0.05)  # where w_max has become the lower bound
    expected = float(ndtr(-(1 + 0.05 / 0.6) / 2))
    assert abs(below - expected) < deviations() * np.sqrt(expected / N) + 1e-3


def test_log_normal_steps() -> None:
    device = make_device("constant-step", {"dw_min_log_normal": True, "dw_min_dtod": 0.7,
                                           "up_down_dtod": 0})  # fmt: skip
    logs = np.log(device.fabricate(normals())[0].astype(float) / 1e-3)
    assert abs(logs.mean()) < 0.7 * deviations(2) / np.sqrt(N)
    assert abs(logs.std() / 0.7 - 1) < deviations(2) / np.sqrt(2 * N)


@pytest.mark.parametrize("model", ["constant-step", "linear-step", "soft-bounds", "exp-step",
                                   "pow-step", "piecewise-step", "table-step"])  # fmt: skip
def test_stuck_devices(model: str) -> None:
    """As many as asked for, anywhere in their range, and no pulse moves them."""
    share, reach = 0.13, 0.2
    device = make_device(model, {"corrupt_devices_prob": share, "corrupt_devices_range": reach})
    fabricated = device.fabricate(normals())
    kept, free = (
        named(device, fabricated),
        named(device, make_device(model, {"corrupt_devices_prob": 1e-12}).fabricate(normals())),
    )
    stuck = kept["hi"] == kept["lo"]
    assert abs(stuck.mean() - share) < deviations() * np.sqrt(share * (1 - share) / N)
    at = kept["hi"][stuck]
    assert ks_2samp(at, np.random.default_rng(0).uniform(-reach, reach, N)).statistic < (
        kolmogorov_smirnov(at.size) + 0.02  # a few bounds lie within the reach
    )
    for name in ("up", "hi", "lo"):  # the others are as they were
        np.testing.assert_array_equal(kept[name][~stuck], free[name][~stuck])
    w = np.where(stuck, kept["hi"], 0)[:3]
    some = tuple(a[:3] for a in fabricated)
    for up in (True, False):
        after = moved(device, some, w, up, np.full(w.shape, 3.0))
        assert np.all(np.isfinite(after))
        np.testing.assert_allclose(after[stuck[:3]], w[stuck[:3]], atol=1e-6)
    low, high = device.mean_range()
    assert low < 0 < high  # the mean device is not stuck


@pytest.mark.parametrize("model", ["constant-step", "linear-step", "soft-bounds", "exp-step",
                                   "pow-step", "piecewise-step", "table-step"])  # fmt: skip
def test_references_move_bounds_and_symmetry_points(model: str) -> None:
    shape = NODES if model in ("piecewise-step", "table-step") else {}
    plain = make_device(model, {"up_down_dtod": 0.2, **shape})
    kept = plain.fabricate(normals())
    asked = {"up_down_dtod": 0.2, "reference_mean": 0.1, "reference_std": 0.05, **shape}
    device = make_device(model, asked)
    seen = device.fabricate(normals())
    offset = plain.weight_range(kept)[1] - device.weight_range(seen)[1]
    assert abs(offset.mean() - 0.1) < 0.05 * deviations(2) / np.sqrt(N)
    assert abs(offset.std() / 0.05 - 1) < deviations(2) / np.sqrt(2 * N)
    points = plain.symmetry_point(kept)
    if points is None:
        return
    well = np.isfinite(points) & (np.abs(points) < 0.5 * plain.weight_range(kept)[1])
    found = device.symmetry_point(seen)
    assert found is not None
    np.testing.assert_allclose(found[well], (points - offset)[well], atol=3e-5)
    shifted = make_device(model, {**asked, "subtract_symmetry_point": True})
    zero = shifted.symmetry_point(shifted.fabricate(normals()))
    assert zero is not None
    assert abs(zero[well].mean() + 0.1) < 0.05 * deviations() / np.sqrt(well.sum()) + 1e-4


def test_what_is_drawn_stays_when_other_draws_come() -> None:
    """References, stuck devices and slopes come after all else, and each at its own place."""
    base = make_device("soft-bounds", {}).fabricate(normals())
    both = make_device("soft-bounds", {"reference_std": 0.1, "slope_up_dtod": 0.2})
    alone = make_device("soft-bounds", {"reference_std": 0.1})
    np.testing.assert_array_equal(both.fabricate(normals())[-1], alone.fabricate(normals())[-1])
    np.testing.assert_array_equal(alone.fabricate(normals())[0], base[0])
    assert not make_device("constant-step", {"reference_std": 0.1}).counted
    assert not make_device("constant-step", {"corrupt_devices_prob": 0.1}).counted
    assert make_device("constant-step", MIRRORED).counted


def test_spread_of_slopes_is_one_of_soft_bounds() -> None:
    quiet = {"w_max_dtod": 0, "slope_up_dtod": 0.1}
    device = make_device("soft-bounds", quiet)
    kept = named(device, device.fabricate(normals()))
    inverse = 0.6 / kept["hi"]
    assert abs(inverse.std() / 0.1 - 1) < deviations() / np.sqrt(2 * N)
    np.testing.assert_allclose(kept["ku"] * kept["hi"], 1, rtol=1e-5)  # gone at the bound


# --- derived -------------------------------------------------------------------------------------


def mean_point(model: str, parameters: dict[str, Any]) -> float:
    device = make_device(model, parameters)
    point = device.symmetry_point(device.fabricate(lambda: np.zeros((1, 1), np.float32)))
    assert point is not None
    return float(point[0, 0])


def test_granularity_and_symmetry_points_of_the_exponential_presets() -> None:
    device = make_device("exp-step", RERAM_ES)
    assert device.mean_steps(0.0) == pytest.approx((0.00148125, 0.00199143), abs=1e-8)
    assert device.granularity == pytest.approx(0.001736, abs=1e-6)  # not the down step, 0.001991
    assert mean_point("exp-step", RERAM_ES) == pytest.approx(-0.2172, abs=1e-4)
    assert mean_point("exp-step", {}) == pytest.approx(4e-5, abs=5e-6)
    pcm = make_device("exp-step", PCM)
    assert pcm.granularity == pcm.up_granularity == pytest.approx(0.0324, abs=1e-4)
    ups = [pcm.mean_steps(w)[0] for w in (0.0, 1.0, 1.9)]
    assert ups[:2] == pytest.approx([0.282, 0.0324], rel=5e-3)


def test_granularity_of_the_other_models() -> None:
    assert make_device("pow-step", {"pow_gamma": 2.0}).granularity == pytest.approx(0.00025)
    assert make_device("piecewise-step", NODES).granularity == pytest.approx(0.001 * 1.25)
    for model in ("ideal", "constant-step", "linear-step", "soft-bounds", "piecewise-step"):
        device = make_device(model, {"dw_min": 0.002})
        assert device.granularity == pytest.approx(0.002)
    assert make_device("soft-bounds", {}).up_granularity == pytest.approx(0.0005, rel=1e-3)
    assert make_device("ideal", {}).up_granularity == 0.001


def test_symmetry_points_in_closed_form_are_those_of_halving() -> None:
    """Of equal powers (w_max + q w_min) / (1 + q); a step up and one down cancel there."""
    for parameters in ({"pow_gamma": 1.5}, {"pow_gamma": 1.5, "pow_up_down_dtod": 0.05}):
        device = make_device("pow-step", {**parameters, "up_down_dtod": 0.1})
        kept = device.fabricate(normals())
        points = device.symmetry_point(kept)
        assert points is not None
        good = tuple(a[:5] for a in kept)
        up = moved(device, good, points[:5], True, np.zeros((5, SHAPE[1]))) - points[:5]
        down = points[:5] - moved(device, good, points[:5], False, np.zeros((5, SHAPE[1])))
        np.testing.assert_allclose(up, down, rtol=1e-2)


def test_steps_that_cancel_nowhere_have_no_symmetry_point() -> None:
    device = make_device("exp-step", {**PCM, "A_down": 5.0, "gamma_down": 0.0})  # never down
    kept = device.fabricate(normals())
    found = symmetry_points(device, kept, SHAPE)
    assert not found.exists.any()
    assert not found.searched


# --- forms and refusals --------------------------------------------------------------------------


def test_forms_of_linear_steps() -> None:
    assert type(make_device("linear-step", {})) is LinearStep
    assert type(make_device("linear-step", {"mult_noise": False})) is GeneralLinearStep
    soft = make_device("soft-bounds", {"reference_std": 0.1})
    assert type(soft) is GeneralSoftBounds
    assert soft.name == "soft-bounds"

    class Mine(LinearStep):
        name = "mine"

    assert type(Mine()) is Mine
    with pytest.raises(TargetError, match=r"device\.mult_noise: class 'Mine' is derived from"):
        Mine(mult_noise=False)


def test_tables_of_pieces_are_equally_long() -> None:
    message = "device.nodes_up: device 'piecewise-step' takes as many as nodes_down; found 2 and 1"
    with pytest.raises(TargetError, match=message):
        make_device("piecewise-step", {"nodes_up": [1, 2]})


def test_rows_that_are_not_equally_far_apart() -> None:
    """They are taken at 256 equal steps: as the table itself, but within a step of its rows."""
    table = {**TABLE, "states": (-1.0, 0.0, 0.25, 1.0), "nodes_up": (2, 1, 1.5, 0.25),
             "nodes_down": 4 * (1,), "spreads_up": (1,), "spreads_down": (1,)}  # fmt: skip
    device = make_device("table-step", {**table, "w_max_dtod": 0, "w_min_dtod": 0})
    for place in (-0.9, -0.11, 0.1, 0.24, 0.7):
        expected = 0.001 * np.interp(place, table["states"], table["nodes_up"])
        assert device.mean_steps(0.6 * place)[0] == pytest.approx(expected, rel=5e-3)
    assert len(device.table_values()) == 4 * 257


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"states": [0, 2, 1]}, "device.states: device 'table-step' takes states that increase; "
         "found 1 after 2"),
        ({"states": [0, 0, 1]}, "increase; found 0 after 0"),
        ({"states": [1]}, "takes two or more; found one"),
        ({"states": [0, 1, 2, 3]}, "a state for each row (or the first and the last); found 4 for"
         " 3 rows"),
        ({"spreads_down": [1, 2]}, "device.spreads_down: device 'table-step' takes as many rows"),
        ({"nodes_up": [1, -2, 1]}, "device.nodes_up = "),
    ],
)  # fmt: skip
def test_tables_that_are_none(given: dict[str, Any], message: str) -> None:
    with pytest.raises(TargetError) as caught:
        make_device("table-step", {**TABLE, **given})
    assert len(caught.value.args) == 1
    assert message in caught.value.args[0]
