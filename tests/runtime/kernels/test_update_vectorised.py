"""The compiled update works in packed float32: a step in float64 or lane by lane would be slow."""

from __future__ import annotations

import platform
import re

import numba
import numpy as np
import pytest

from rpucc.runtime.devices import Device
from rpucc.runtime.devices.compiled import compile_update
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.instructions.update_scratch import device_state, update_scratch

from ..tilings import Tiling, make_grid


class OneByOne(ConstantStep):
    name = "one-by-one"
    counted = False


COMMON = {
    "parameters unpacked": r"v?pmovzxwd", "made floats": r"v?cvtdq2ps",
    "multiplied": r"v?(?:f[n]?m\w+|mul)ps", "products of the random words": r"v?pmuludq",
}  # fmt: skip


@pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64"), reason="looks for x86 instructions"
)
@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (OneByOne, {**COMMON, "clipped": r"v?minps"}),
        (ConstantStep, {**COMMON, "roots": r"v?r?sqrtps", "coincidences": r"v?pandd?"}),
    ],
)
def test_packed_instructions(model: type[Device], wanted: dict[str, str]) -> None:
    grid = make_grid(model(), Tiling((0, 3), (0, 40)))
    kernel = compile_update(grid.device)
    # A fresh copy: what comes from the disk cache cannot be inspected.
    fresh = numba.njit(nogil=True, fastmath=True, error_model="numpy", cache=False)(
        kernel.py_func  # type: ignore[attr-defined]
    )
    X, D = np.ones((1, 1, 40), np.float32), np.ones((1, 1, 3), np.float32)
    fresh(
        0, 3, grid.W, *device_state(grid), X, D, np.float32(0.01), np.float32(0.001), 10, True,
        False, grid.row_cuts, grid.col_cuts, grid.tiles, 1, 0, *grid.key,
        *update_scratch(grid, 1, 1, 10, 3),
    )  # fmt: skip
    (text,) = fresh.inspect_asm().values()
    for what, pattern in wanted.items():
        assert re.search(rf"^\s+{pattern}\s", text, re.MULTILINE), f"no packed {what}"
    assert not re.search(r"^\s+v?cvtps2pd\s", text, re.MULTILINE), "float64 in a vector loop"
