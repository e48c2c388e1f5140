"""Symmetry points that a model does not declare are searched; where there are none, it is said."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from rpucc.errors import TargetError
from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.devices.linear_step import LinearStep
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.devices.symmetry import symmetry_points
from rpucc.target.target import Calibration

from .tilings import Tiling, make_plane

SHAPE = (6, 50)


class Undeclared(Device):
    """Soft bounds that say nothing of their symmetry points, without a clip in their step."""

    name = "undeclared"
    defaults: ClassVar = {"dw_min": 0.01, "up": 0.0, "w_max": 0.6}
    per_device = ("up", "down")
    constants = ("w_max",)

    def fabricate(self, normal):
        p = self.parameters
        ups, downs = (
            np.maximum(np.float32(p["dw_min"]) * (1 + np.float32(0.3) * normal()), 1e-4)
            for _ in range(2)
        )
        return np.asarray(ups * np.float32(1 + p["up"]), np.float32), np.asarray(downs, np.float32)

    def constant_values(self):
        return (self.parameters["w_max"],)

    @staticmethod
    def step(w, direction, noise, up, down, w_max):
        if direction > 0:
            return w + up * (1 - w / w_max) * (1 + noise)
        return w - down * (1 + w / w_max) * (1 + noise)


class Bounded(Undeclared):
    name = "bounded"

    def weight_range(self, fabricated):
        limit = np.float32(self.parameters["w_max"])
        return np.asarray(-limit), np.asarray(limit)

    def shifted(self, fabricated, reference):
        raise AssertionError("not reached in these tests")


class Drifting(Undeclared):
    """Constant steps of a user's own: up steps are always the longer ones."""

    name = "drifting"

    @staticmethod
    def step(w, direction, noise, up, down, w_max):
        dw = up * 3 if direction > 0 else -up
        return min(max(w + dw * (1 + noise), -w_max), w_max)


class BoundedDrifting(Drifting):
    name = "bounded-drifting"
    weight_range = Bounded.weight_range


class Even(ConstantStep):
    """Up and down steps are the same everywhere: they cancel at every weight and at none."""

    name = "even"

    @staticmethod
    def step(w, direction, noise, dw_up, dw_down, w_max, w_min, std):
        return min(max(w + direction * dw_up * (1 + std * noise), w_min), w_max)


class Twisted(SoftBounds):
    """A subclass with a step of its own: what its parent declares is not about it."""

    name = "twisted"

    @staticmethod
    def step(w, direction, noise, up, slope_up, down, slope_down, w_max, w_min, std):
        change = up + slope_up * w if direction > 0 else -2 * (down + slope_down * w)
        return min(max(w + change * (1 + std * noise), w_min), w_max)


def fabricated(device: Device) -> tuple[np.ndarray, ...]:
    normals = np.random.default_rng(4)
    return device.fabricate(lambda: normals.standard_normal(SHAPE).astype(np.float32))


@pytest.mark.parametrize("model", [Undeclared, Bounded])
@pytest.mark.parametrize("up", [0.0, 0.5])
def test_a_model_that_does_not_declare_them(model: type[Device], up: float) -> None:
    device = model(up=up)
    parameters = fabricated(device)
    ups, downs = parameters
    found = symmetry_points(device, parameters, SHAPE)
    assert found.searched
    assert found.exists.mean() > 0.98  # of some it lies at a bound
    expected = 0.6 * (ups - downs) / (ups + downs)
    np.testing.assert_allclose(found.known, expected[found.exists], atol=1e-4)


@pytest.mark.parametrize("model", [LinearStep, SoftBounds])
def test_the_search_finds_what_built_in_models_declare(model: type[Device], monkeypatch) -> None:
    device = model(up_down=0.2, up_down_dtod=0.1, dw_min_dtod=0.2)
    parameters = fabricated(device)
    declared = symmetry_points(device, parameters, SHAPE)
    assert not declared.searched
    monkeypatch.setattr("rpucc.runtime.devices.symmetry._declares", lambda model: False)
    searched = symmetry_points(device, parameters, SHAPE)
    assert searched.searched
    both = declared.exists & searched.exists
    assert both.mean() > 0.9
    np.testing.assert_allclose(searched.weights[both], declared.weights[both], atol=1e-3)


def test_a_subclass_with_another_step_is_searched() -> None:
    device = Twisted(up_down=0.0, up_down_dtod=0.0, dw_min=0.01)
    parameters = fabricated(device)
    w_max, w_min = parameters[4], parameters[5]
    found = symmetry_points(device, parameters, SHAPE)
    assert found.searched
    # a (1 - w / w_max) = 2 a (1 - w / w_min)
    expected = -1 / (1 / w_max - 2 / w_min)
    np.testing.assert_allclose(found.known, expected[found.exists], atol=1e-3)
    assert found.exists.mean() > 0.9


@pytest.mark.parametrize(
    "device",
    [ConstantStep(up_down=0.3), ConstantStep(), make_device("ideal", {}), Drifting(), Even()],
    ids=lambda device: device.name,
)
def test_where_there_is_none(device: Device) -> None:
    found = symmetry_points(device, fabricated(device), SHAPE)
    assert not found.exists.any()
    assert not len(found.known)


def test_a_bound_that_pulses_are_cut_at_is_none() -> None:
    """At a bound an up pulse does nothing: there pulses end, but do not cancel."""
    device = BoundedDrifting()
    found = symmetry_points(device, fabricated(device), SHAPE)
    assert not found.exists.any()
    np.testing.assert_array_equal(found.weights, np.float32(0.6))


@pytest.mark.parametrize(
    ("device", "why"),
    [
        (ConstantStep(), "cancel nowhere, its steps do not depend on the weight"),
        (BoundedDrifting(), "cancel at no weight between its bounds (-0.6 to 0.6 on average)"),
        (Drifting(), "an up and a down pulse without noise cancel at no weight; soft-bounds"),
        (Undeclared(), "does not say how it looks shifted (Device.shifted)"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_what_zero_shifting_says(device: Device, why: str) -> None:
    with pytest.raises(TargetError) as caught:
        make_plane(device, Tiling((0, 3), (0, 4)), calibration=Calibration(zero_shift=True))
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_zero_shifting_a_model_that_does_not_declare_them(monkeypatch) -> None:
    def shifted(self, parameters, reference):
        return tuple(p for p in parameters)

    monkeypatch.setattr(Undeclared, "shifted", shifted)
    monkeypatch.setattr(Undeclared, "cycle_noise", property(lambda self: False))
    device = Undeclared(up=0.5)
    plane = make_plane(
        device, Tiling((0, 3), (0, 40)), calibration=Calibration(zero_shift=True, pairs=3000)
    )
    assert plane.symmetry is not None
    assert plane.symmetry.before.mean > 0.05
    assert abs(plane.symmetry.after.mean) < 0.01
    assert plane.symmetry.after.std < 0.01


def test_devices_show_says_that_it_searched(tmp_path: Path, monkeypatch) -> None:
    from click.testing import CliRunner

    from rpucc.cli.main import cli

    text = Path(__file__).read_text(encoding="utf-8")
    start, end = text.index("class Undeclared"), text.index("class Bounded(")
    head = "from typing import ClassVar\nimport numpy as np\n"
    head += "from rpucc.runtime.devices import Device\n\n"
    (tmp_path / "searched_device.py").write_text(head + text[start:end], encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    shown = CliRunner().invoke(cli, ["devices", "show", "searched_device:Undeclared"])
    assert shown.exit_code == 0, shown.output
    (line,) = (line for line in shown.output.splitlines() if line.startswith("symmetry"))
    assert line.endswith("(searched: the model does not declare them)")
    none = CliRunner().invoke(cli, ["devices", "show", "ideal", "--pulses", "5"])
    assert none.output.splitlines()[-1].split() == ["symmetry", "none"]
