"""Device models: steps, fabricated spreads, and one line for every wrong parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from rpucc.errors import TargetError
from rpucc.runtime.devices import DEVICES, make_device
from rpucc.runtime.devices.constant_step import FLOOR, ConstantStep
from rpucc.runtime.devices.ideal import Ideal
from rpucc.target.values import VARIATIONS, ParameterValue

from .bounds import correlation, deviations
from .tilings import Pulsing, Tiling, make_plane, pulse

SHAPE = (400, 300)
N = SHAPE[0] * SHAPE[1]
UP, DOWN, W_MAX, W_MIN = range(4)


def normals(seed: int = 1) -> Callable[[], np.ndarray]:
    rng = np.random.default_rng(seed)
    return lambda: rng.standard_normal(SHAPE, np.float32)


def fabricated(**parameters: float) -> tuple[np.ndarray, ...]:
    return ConstantStep(**parameters).fabricate(normals())


def test_constant_step_up_down_and_bounds() -> None:
    def step(w: float, direction: float, noise: float = 0.0, std: float = 0.3) -> float:
        return ConstantStep.step(w, direction, noise, 0.01, 0.02, 0.5, -0.4, std)

    assert step(0.1, 1) == pytest.approx(0.11)
    assert step(0.1, -1) == pytest.approx(0.08)
    assert step(0.1, 1, 2.0) == pytest.approx(0.1 + 0.01 * 1.6)
    assert step(0.1, -1, -1.0) == pytest.approx(0.1 - 0.02 * 0.7)
    assert step(0.1, 1, -5.0) == pytest.approx(0.1 - 0.01 * 0.5)  # noise may turn a pulse round
    assert step(0.495, 1) == 0.5
    assert step(-0.39, -1) == -0.4
    assert step(0.5, -1) == pytest.approx(0.48)  # a bound is no trap
    assert step(0.1, 1, 9.0, std=0.0) == pytest.approx(0.11)


def test_ideal_step() -> None:
    assert Ideal.step(0.25, 1.0, 7.0, 0.5) == 0.75
    assert Ideal.step(0.25, -1.0, 7.0, 0.5) == -0.25
    device = make_device("ideal", {"dw_min": 0.5})
    assert device.dw_min == 0.5
    assert device.constant_values() == (0.5,)
    assert not device.cycle_noise
    assert device.fabricate(normals()) == ()
    low, high = device.weight_range(())
    assert low == -np.inf
    assert high == np.inf


def test_fabricated_means_and_spreads() -> None:
    """RPU-baseline, Table 1 of the 2017 paper: each of mean and spread within sampling error.

    A floored normal at 3.3 standard deviations has lost 5e-4 of its mass: its mean rises by 4e-5 of
    the mean, its spread falls by 0.2 %.
    """
    values = fabricated()
    spread, m, s = 0.3, deviations(8) / np.sqrt(N), deviations(8) / np.sqrt(2 * N)
    means = {UP: 0.001, DOWN: 0.001, W_MAX: 0.6, W_MIN: -0.6}
    for index, mean in means.items():
        assert values[index].dtype == np.float32
        assert abs(values[index].mean() / mean - 1) < spread * m + 1e-4
        assert abs(abs(values[index].std() / mean) / spread - 1) < s + 0.005
    step = (values[UP] + values[DOWN]) / 2
    beta = (values[UP] - values[DOWN]) / (2 * step)
    assert abs(beta.mean()) < 0.01 * m
    assert abs(beta.std() / 0.01 - 1) < s
    assert abs((values[UP] / values[DOWN]).std() / 0.02 - 1) < s + 1e-3  # "up/down ratio, 2 %"


def test_fabricated_parameters_are_independent() -> None:
    up, down, w_max, w_min = fabricated()
    beta = (up - down) / (up + down)
    values = [up + down, beta, w_max, w_min]
    for i, a in enumerate(values):
        for b in values[:i]:
            r, error = correlation(a, b)
            assert abs(r) < deviations(6) * error


def test_asymmetry() -> None:
    up, down, *_ = fabricated(up_down=0.2, up_down_dtod=0.0, dw_min_dtod=0.0)
    np.testing.assert_allclose(up, 0.0012, rtol=1e-6)
    np.testing.assert_allclose(down, 0.0008, rtol=1e-6)


def test_no_spread_gives_the_means() -> None:
    values = fabricated(dw_min_dtod=0, up_down_dtod=0, w_max_dtod=0, w_min_dtod=0, w_min=-0.3)
    for value, expected in zip(values, (0.001, 0.001, 0.6, -0.3), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-6)


def test_floors() -> None:
    """A wide spread pushes some devices below zero: they are kept at 1 % of the mean."""
    up, down, w_max, w_min = fabricated(
        dw_min_dtod=2.0, w_max_dtod=2.0, w_min_dtod=2.0, up_down_dtod=0.0
    )
    expected = 0.3103  # P(1 + 2 z < 0.01)
    for values, mean in ((up, 0.001), (down, 0.001), (w_max, 0.6), (-w_min, 0.6)):
        floor = np.float32(mean) * np.float32(FLOOR)
        assert values.min() == pytest.approx(floor, rel=1e-6)
        share = np.mean(values <= 1.001 * floor)
        assert abs(share - expected) < deviations(4) * np.sqrt(expected * 0.69 / N) + 1e-3
    up, down, *_ = fabricated(up_down_dtod=1.0, dw_min_dtod=0.0)
    assert up.min() == pytest.approx(0.001 * FLOOR)
    assert down.min() == pytest.approx(0.001 * FLOOR)


def test_pulse_noise_without_and_with() -> None:
    assert ConstantStep().cycle_noise
    assert not ConstantStep(dw_min_std=0.0).cycle_noise
    assert ConstantStep(dw_min_std=0.25).constant_values() == (0.25,)


def test_pulse_noise_of_the_compiled_update() -> None:
    """Every line fires: weights move by one step each, with a spread of dw_min_std from noise."""
    device = make_device(
        "constant-step",
        {"dw_min_dtod": 0, "up_down_dtod": 0, "w_max_dtod": 0, "w_min_dtod": 0, "up_down": 0.1},
    )
    tiling = Tiling((0, 100, 200), (0, 128, 300))
    X, D = np.ones((1, 300), np.float32), np.ones((1, 200), np.float32)
    for sign, mean in ((-1, 0.0011), (1, -0.0009)):
        plane = make_plane(device, tiling)
        assert pulse(plane, X, sign * D, Pulsing(lr=0.001, bl=1)) == plane.W.size
        n = plane.W.size
        assert abs(plane.W.mean() / mean - 1) < 0.3 * deviations(2) / np.sqrt(n)
        assert abs(plane.W.std() / abs(mean) / 0.3 - 1) < deviations(2) / np.sqrt(2 * n)


def test_the_table_of_models() -> None:
    assert {"ideal", "constant-step", "linear-step", "soft-bounds"} <= set(DEVICES)
    for name, model in DEVICES.items():
        assert model.name == name
        assert model.summary
        assert set(model.ranges) <= set(model.defaults)
        assert set(model.meanings) == set(model.defaults)  # `rpucc devices` prints them
        for key, value in model.defaults.items():
            if isinstance(value, str):
                assert value in model.choices[key]
            elif not isinstance(value, bool):
                low, high = model.ranges[key]
                assert all(low <= each <= high for each in np.atleast_1d(value))
        device = make_device(name, {})
        assert len(device.fabricate(normals())) == len(model.per_device)
        assert len(device.constant_values()) == len(model.constants)


@pytest.mark.parametrize(
    ("model", "parameters", "parts"),
    [
        ("ideal", {"w_max": 1.0}, ["device.w_max", "ideal", "dw_min"]),
        ("constant-step", {"dw_mni": 1.0}, ["device.dw_mni", "constant-step", "dw_min"]),
        ("constant-step", {"dw_min": 0.0}, ["device.dw_min = 0", "1e-09 to 1"]),
        ("constant-step", {"dw_min_dtod": -0.1}, ["device.dw_min_dtod = -0.1", "0 to 10"]),
        ("constant-step", {"w_min": 0.6}, ["device.w_min = 0.6"]),
        ("constant-step", {"w_max": float("nan")}, ["device.w_max = nan"]),
        ("constant-step", {"w_max": float("inf")}, ["device.w_max = inf"]),
        ("memristor", {}, ["'memristor'", "ideal, constant-step", "my_module:MyDevice"]),
        ("no_such_module_here:Device", {}, ["no_such_module_here", "PYTHONPATH"]),
        ("math:sqrt", {}, ["'math'", "'sqrt'", "rpucc.runtime.devices.Device"]),
        ("math:Absent", {}, ["'math'", "'Absent'"]),
    ],
)
def test_wrong_models_and_parameters(
    model: str, parameters: dict[str, float], parts: list[str]
) -> None:
    with pytest.raises(TargetError) as caught:
        make_device(model, parameters)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# --- removed variations ------------------------------------------------------------------------

BASELINE: dict[str, float] = {"up_down": 0.1}


def removed(*kinds: str) -> list[np.ndarray]:
    return list(ConstantStep(**BASELINE).without(kinds).fabricate(normals()))


def test_a_removed_kind_leaves_the_others_as_they_were() -> None:
    full, no_bounds = removed(), removed("bounds")
    assert np.all(no_bounds[W_MAX] == np.float32(0.6))
    assert np.all(no_bounds[W_MIN] == np.float32(-0.6))
    for which in (UP, DOWN):
        np.testing.assert_array_equal(no_bounds[which], full[which])

    symmetric = removed("asymmetry")
    np.testing.assert_array_equal(symmetric[UP], symmetric[DOWN])
    assert np.std(symmetric[UP]) > 0.2e-3  # the step's own spread stays
    for which in (W_MAX, W_MIN):
        np.testing.assert_array_equal(symmetric[which], full[which])

    alike = removed("dtod")
    np.testing.assert_allclose(alike[UP] + alike[DOWN], 2e-3, rtol=1e-6)  # each keeps its β
    assert abs(np.mean(alike[UP]) - 1.1e-3) < 5 * 1e-5 / np.sqrt(N)
    assert abs(np.std(alike[UP]) - 1e-5) < 5 * 1e-5 / np.sqrt(2 * N)
    np.testing.assert_array_equal(alike[W_MAX], full[W_MAX])


def test_without_noise_from_pulse_to_pulse_none_is_drawn() -> None:
    device = ConstantStep().without(["ctoc"])
    assert device.constant_values() == (0.0,)
    assert not device.cycle_noise
    assert ConstantStep().without([]).cycle_noise


def test_without_any_variation_all_devices_are_the_mean_one() -> None:
    for found, mean in zip(removed(*VARIATIONS), (1e-3, 1e-3, 0.6, -0.6), strict=True):
        assert np.all(found == np.float32(mean))


@pytest.mark.parametrize("model", DEVICES)
def test_every_model_says_what_belongs_to_each_kind(model: str) -> None:
    device = make_device(model, {})
    assert set(device.variations) == set(VARIATIONS)
    gone = device.without(VARIATIONS).parameters
    for keys in device.variations.values():
        assert all(gone[key] == 0 for key in keys)
    assert {key for key in gone if key.endswith(("_dtod", "_std"))} <= {
        key for keys in device.variations.values() for key in keys
    }


def test_a_kind_of_which_a_model_says_nothing() -> None:
    class Mine(Ideal):
        name = "mine"
        variations: ClassVar[dict[str, tuple[str, ...]]] = {"dtod": ()}

    mine = Mine()
    assert mine.without(["dtod"]) is mine
    message = r"^variations\.remove: device 'mine' does not say .* are 'bounds'; set variations ="
    with pytest.raises(TargetError, match=message):
        mine.without(["bounds"])


# --- parameters that are no numbers --------------------------------------------------------------


class Chosen(Ideal):
    """A parameter of each kind."""

    name = "chosen"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **Ideal.defaults, "kind": "one", "on": True, "nodes": (1.0, 2.0),
    }  # fmt: skip
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"kind": ("one", "two")}
    ranges: ClassVar[dict[str, tuple[float, float]]] = {**Ideal.ranges, "nodes": (0.0, 3.0)}


def test_parameters_are_what_their_defaults_are() -> None:
    device = Chosen(kind="two", on=False, nodes=[0, 2.5, 3], dw_min=np.float32(0.5))
    assert device.parameters == {
        "dw_min": 0.5, "kind": "two", "on": False, "nodes": (0.0, 2.5, 3.0),
    }  # fmt: skip
    assert device.granularity == device.dw_min


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("kind", "three", "'three': device 'chosen' takes \"one\" or \"two\""),
        ("kind", 1, "device.kind = 1: "),
        ("kind", True, "device.kind = true: "),
        ("on", 1, "device.on = 1: device 'chosen' takes true or false"),
        (
            "nodes",
            1.0,
            "device.nodes = 1: device 'chosen' takes a list of 1 to 1000 numbers from 0",
        ),
        ("nodes", (), "a list of 1 to 1000"),
        ("nodes", [1, 4], "numbers from 0 to 3"),
        ("nodes", [1, float("nan")], "numbers from 0 to 3"),
        ("nodes", [True], "numbers from 0 to 3"),
        ("nodes", [0.5] * 1001, "a list of 1 to 1000"),
        ("dw_min", True, "device.dw_min = true: device 'chosen' takes 1e-09 to 1"),
        ("dw_min", "high", "device.dw_min = 'high': "),
        ("dw_min", [0.1], "device.dw_min = [0.1]: "),
    ],
)
def test_wrong_kinds_of_parameters(key: str, value: object, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        Chosen(**{key: value})
    assert message in str(caught.value)


def test_a_key_of_a_related_model_is_no_key() -> None:
    with pytest.raises(TargetError, match="reverse_down: device 'soft-bounds' has no such key"):
        make_device("soft-bounds", {"reverse_down": True})
