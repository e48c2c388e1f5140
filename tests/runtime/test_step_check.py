"""A user's step is tried before it is compiled without checks; what is wrong is said in a line."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
import pytest

from rpucc.errors import TargetError
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.compiled import compile_pulses, compile_update
from rpucc.runtime.devices.step_check import check_step

from .tilings import Pulsing, Tiling, make_plane, pulse

TABLE = np.linspace(0.002, 0.0005, 100).astype(np.float32)


class Plain(Device):
    name = "plain"
    defaults: ClassVar = {"dw_min": 0.001, "w_max": 0.6}
    constants = ("w_max",)

    def constant_values(self):
        return (self.parameters["w_max"],)

    @staticmethod
    def step(w, direction, noise, w_max):
        return w + direction * 0.001 * (w_max - direction * w)


class Table(Plain):
    """A measured curve whose last entry is w_max itself: one index too few."""

    name = "table"

    def weight_range(self, fabricated):
        limit = np.float32(self.parameters["w_max"])
        return np.asarray(-limit), np.asarray(limit)

    @staticmethod
    def step(w, direction, noise, w_max):
        index = int((w + w_max) / (2 * w_max) * 100)
        return min(max(w + direction * TABLE[index], -w_max), w_max)


class Overshooting(Table):
    """The index is right between the bounds, but a pulse leads beyond them."""

    name = "overshooting"

    @staticmethod
    def step(w, direction, noise, w_max):
        return w + direction * TABLE[int(abs(w) / w_max * 99)] * (1 + noise)


class Below(Plain):
    """A table that covers weights from 0 up, in a device without declared bounds."""

    name = "below"

    @staticmethod
    def step(w, direction, noise, w_max):
        return w + direction * TABLE[200 + int(w * 100)]


class Careful(Table):
    name = "careful"

    @staticmethod
    def step(w, direction, noise, w_max):
        index = min(max(int((w + w_max) / (2 * w_max) * 100), 0), 99)
        return min(max(w + direction * TABLE[index], -w_max), w_max)


class Root(Plain):
    name = "root"

    @staticmethod
    def step(w, direction, noise, w_max):
        return w + direction * 0.001 * math.sqrt(w_max - w)


def helper(x):
    return x


class Calls(Plain):
    name = "calls"

    @staticmethod
    def step(w, direction, noise, w_max):
        half = w_max / 2
        return w + helper(direction) * half


class Text(Plain):
    name = "text"

    @staticmethod
    def step(w, direction, noise, w_max):
        return w + "up"


class Opens(Plain):
    name = "opens"

    @staticmethod
    def step(w, direction, noise, w_max):
        with open("log") as file:
            return w + len(file.name)


class Short(Plain):
    name = "short"

    @staticmethod
    def step(w, direction, noise):
        return w + direction


def said(device: Device) -> str:
    with pytest.raises(TargetError) as caught:
        check_step(device)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert f"({type(device).__module__}:{type(device).__qualname__})" in text
    return text


@pytest.mark.parametrize("model", [Plain, Careful])
def test_a_sound_step(model: type[Device]) -> None:
    check_step(model())


def test_a_step_that_reads_past_its_table() -> None:
    assert "reads beyond an array at weight 0.6, a pulse up" in said(Table())
    assert "reads beyond an array at weight -0.60" in said(Overshooting())
    assert "device 'below'" in said(Below())


def test_a_step_that_gives_no_number() -> None:
    text = said(Root())
    assert "gives nan at weight 0.6" in text
    assert "weight_range" in text


@pytest.mark.parametrize(
    ("model", "parts"),
    [
        (Calls, ["Untyped global name 'helper'", "numba.njit", "return w + helper(direction)"]),
        (Text, ["No implementation of function", "add(float32", 'return w + "up"']),
        (Opens, ["construct is not supported"]),
        (Short, ["with 4 numbers", "4 argument types given, but function takes 3"]),
    ],
)
def test_a_step_that_does_not_compile(model: type[Device], parts: list[str]) -> None:
    text = said(model())
    assert "does not compile with 4 numbers" in text
    for part in parts:
        assert part in text


@pytest.mark.parametrize("kernel", [compile_update, compile_pulses])
def test_kernels_are_not_made_of_a_wrong_step(kernel) -> None:
    with pytest.raises(TargetError, match="reads beyond an array"):
        kernel(Table())


def test_the_first_training_step_is_refused() -> None:
    plane = make_plane(Table(), Tiling((0, 2), (0, 2)), np.full((2, 2), 0.6, np.float32))
    with pytest.raises(TargetError, match="device 'table'"):
        pulse(plane, np.ones((1, 2), np.float32), np.ones((1, 2), np.float32), Pulsing(lr=0.1))
