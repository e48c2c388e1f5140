"""Targets of published devices: granularity, states, symmetry points, spreads, response curves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.stats import ks_2samp

from rpucc.runtime.devices import Device, device_of
from rpucc.runtime.devices.derived import derived
from rpucc.runtime.response import response
from rpucc.target.target import Target

from .bounds import deviations, kolmogorov_smirnov
from .test_device_models import N, named, normals

PRESETS = {
    "reram-es": "ReRamES", "reram-sb": "ReRamSB", "capacitor": "Capacitor", "ecram": "EcRam",
    "ecram-mo": "EcRamMO", "idealized": "Idealized", "gokmen-vlasov": "GokmenVlasov", "pcm": "PCM",
    "reram-array-om": "ReRamArrayOM", "reram-array-hfo2": "ReRamArrayHfO2",
}  # fmt: skip
FIGURES = {
    # preset: states by dw_min, granularity, symmetry point of the mean device
    "reram-es": (1481, 0.001736, -0.2172),
    "reram-sb": (1000, 0.002, 0.0),
    "capacitor": (400, 0.005, 0.0),
    "ecram": (1000, 0.002, 0.0),
    "ecram-mo": (7089, 2.8214e-4, 0.0),
    "idealized": (10000, 0.0002, None),
    "gokmen-vlasov": (1250, 0.0016, None),
    "pcm": (200, 0.03236, 0.5),
    "reram-array-om": (21.07, 0.0949, 0.0),
    "reram-array-hfo2": (4.327, 0.4622, 0.0),
}


def device(preset: str) -> Device:
    return device_of(Target.load(preset).for_layer(""))


@pytest.fixture(scope="module")
def twin() -> ModuleType:
    """The shared float64 twin of these devices."""
    file = Path(__file__).resolve().parents[3] / "shared" / "prototypes" / "devices_twin.py"
    if not file.is_file():
        pytest.skip("the shared folder with the float64 twins is absent")
    spec = importlib.util.spec_from_file_location("devices_twin", file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules["devices_twin"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("preset", PRESETS)
def test_figures(preset: str) -> None:
    states, granularity, point = FIGURES[preset]
    found = derived(device(preset))
    assert found.states == pytest.approx(states, rel=5e-4)
    assert found.granularity == pytest.approx(granularity, rel=5e-4)
    assert found.symmetry_point == (None if point is None else pytest.approx(point, abs=2e-4))


def test_periphery_and_update_are_those_of_all_of_them() -> None:
    for preset in PRESETS:
        target = Target.load(preset)
        p, m, u = target.periphery, target.management, target.update
        assert (p.read_noise, p.bound, p.dac_bits, p.adc_bits) == (0.1, 20, 7, 9)
        assert (m.noise_forward, m.noise_backward) == ("always", "always")
        assert (m.bound_forward, m.bound_backward) == (True, False)
        assert (u.pulsed, u.bl, u.update_management, u.update_bl_management) == (
            True,
            31,
            True,
            True,
        )


@pytest.mark.parametrize("preset", PRESETS)
def test_devices_are_those_of_the_twin(preset: str, twin: ModuleType) -> None:
    ours, p = device(preset), twin.preset(PRESETS[preset])
    if preset != "pcm":  # the mean of both steps at 0 is of no account for what is only pulsed up
        assert ours.granularity == pytest.approx(twin.granularity(p), rel=1e-4)
    point = twin.symmetry_point(p)
    if p["subtract"]:
        point = 0.0
    shown = derived(ours).symmetry_point
    assert shown == (None if point is None else pytest.approx(point, abs=2e-4))
    found = named(ours, ours.fabricate(normals()))
    theirs = twin.sample(p, N, np.random.default_rng(2))
    if "ref" in theirs:
        theirs["reference"] = theirs.pop("ref")
    else:
        found.pop("reference")
    if p["model"] == "sbref":  # their slopes follow from the bounds
        found = {name: values for name, values in found.items() if name not in ("ku", "kd")}
    compared = [name for name in found if np.ptp(theirs.get(name, 0.0)) > 0]
    assert set(compared) >= {"up", "down", "hi"}
    for name in compared:
        statistic = ks_2samp(found[name].ravel(), np.ravel(theirs[name])).statistic
        assert statistic < kolmogorov_smirnov(N) * np.sqrt(2), name


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_response_curves_are_those_of_the_twin(preset: str, twin: ModuleType) -> None:
    """From 0 up and back: mean and spread of devices at 8 points, within sampling errors."""
    count, pulses, p = 20_000, 100, twin.preset(PRESETS[preset])
    ours = response(device(preset), count, pulses, seed=3)
    rng = np.random.default_rng(5)
    d = twin.sample(p, count, rng)
    reference: Any = d.get("ref", 0.0)
    w = np.clip(np.zeros(count), d["lo"] - reference, d["hi"] - reference)
    expected = [w]
    for pulse in range(2 * pulses):
        w = twin.step(p, d, w, pulse < pulses, rng)
        expected.append(w)
    comparisons = 16
    for at in np.linspace(25, 2 * pulses, 8).astype(int):
        a = ours.weights[:, list(ours.pulses).index(at)].astype(float)
        b = expected[at]
        error = np.hypot(a.std(), b.std()) / np.sqrt(count)
        assert abs(a.mean() - b.mean()) < deviations(comparisons) * error + 1e-7, at
        of_squares = [np.std((x - x.mean()) ** 2) / np.sqrt(count) for x in (a, b)]
        assert abs(a.var() - b.var()) < deviations(comparisons) * np.hypot(*of_squares) + 1e-9, at
