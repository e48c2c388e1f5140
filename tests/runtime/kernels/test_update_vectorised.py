"""The compiled update works in packed float32: a step in float64 or lane by lane would be slow."""

from __future__ import annotations

import platform
import re
from typing import Any

import numba
import numpy as np
import pytest

from rpucc.runtime.devices import Device, make_device
from rpucc.runtime.devices.compiled import compile_pulses, compile_update
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch
from rpucc.runtime.kernels.jit import OPTIONS
from rpucc.runtime.kernels.update_arguments import Address, PulsePolicy, Span

from ..tilings import Tiling, make_plane


class OneByOne(ConstantStep):
    name = "one-by-one"
    counted = False


only_x86 = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="looks for x86 instructions"
)

COMMON = {
    "parameters unpacked": r"v?pmovzxwd", "made floats": r"v?cvtdq2ps",
    "multiplied": r"v?(?:f[n]?m\w+|mul)ps", "products of the random words": r"v?pmuludq",
}  # fmt: skip


def fresh_copy(kernel: Any) -> Any:
    """What comes from the disk cache cannot be inspected."""
    return numba.njit(**OPTIONS, cache=False)(kernel.py_func)


def check(fresh: Any, wanted: dict[str, str]) -> None:
    (text,) = fresh.inspect_asm().values()
    for what, pattern in wanted.items():
        assert re.search(rf"^\s+{pattern}\s", text, re.MULTILINE), f"no packed {what}"
    assert not re.search(r"^\s+v?cvtps2pd\s", text, re.MULTILINE), "float64 in a vector loop"
    assert "NRT_" not in text, "references to arrays are counted"


@only_x86
def test_pulses_for_all_devices() -> None:
    """Calibration: the step itself in vectors, not the random words alone."""
    plane = make_plane(SoftBounds(), Tiling((0, 3), (0, 40)))
    fresh, layout = fresh_copy(compile_pulses(plane.device)), plane.layout
    fresh(
        plane.W, plane.parameters, plane.constants, np.ones(4, np.int8), 0, 0, layout.row_cuts,
        layout.col_cuts, layout.tiles, *layout.key, np.empty(168, np.float32),
    )  # fmt: skip
    check(fresh, {"multiplied": r"v?(?:f[n]?m\w+|mul)ps", "clipped": r"v?minps"})


@only_x86
@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (OneByOne, {**COMMON, "clipped": r"v?minps"}),
        (ConstantStep, {**COMMON, "roots": r"v?r?sqrtps", "coincidences": r"v?pandd?"}),
    ],
)
def test_packed_instructions(model: type[Device], wanted: dict[str, str]) -> None:
    plane = make_plane(model(), Tiling((0, 3), (0, 40)))
    fresh = fresh_copy(compile_update(plane.device))
    X, D = np.ones((1, 1, 40), np.float32), np.ones((1, 1, 3), np.float32)
    fresh(
        0, 3, plane.W, device_state(plane), X, D, np.float32(0.01),
        PulsePolicy(np.float32(0.001), 10, True, False),
        plane.layout.for_kernels, Address(1, *plane.layout.key),
        Span(0, 0, 1, 0, 0), update_scratch(plane, 1, 1, 10, 3),
    )  # fmt: skip
    check(fresh, wanted)


@only_x86
@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "of_shape"), [("exp-step", r"v?minps"), ("pow-step", r"v?cvttps2dq")]
)
def test_exponentials_and_powers_are_vectors_too(model: str, of_shape: str) -> None:
    """No libm call for each device: the exponential is packed arithmetic in the loop."""
    plane = make_plane(make_device(model, {}), Tiling((0, 3), (0, 40)))
    fresh, layout = fresh_copy(compile_pulses(plane.device)), plane.layout
    fresh(
        plane.W, plane.parameters, plane.constants, np.ones(4, np.int8), 0, 0, layout.row_cuts,
        layout.col_cuts, layout.tiles, *layout.key, np.empty(168, np.float32),
    )  # fmt: skip
    check(fresh, {"multiplied": r"v?(?:f[n]?m\w+|mul)ps", "shape": of_shape,
                  "whole exponents": r"v?cvttps2dq"})  # fmt: skip
    (text,) = fresh.inspect_asm().values()
    assert not re.search(r"\b(expf?|powf?|logf?)@", text)
