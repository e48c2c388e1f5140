"""Arrays: what a read sees of the planes, and what stands above and below them."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

import rpucc.runtime.array
from rpucc.runtime.array import Array
from rpucc.runtime.devices import make_device
from rpucc.runtime.devices.soft_bounds import SoftBounds
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.runtime.make_plane import make_plane
from rpucc.target.target import Calibration

from .tilings import make_array

KEY = seed_key(3)
LAYOUT = Layout.of((0, 3, 5), (0, 4, 6), KEY, first_tile=2)
BELOW = {
    "layout.py": set(),
    "plane.py": {"layout"},
    "array.py": {"layout", "plane"},
    "fabrication.py": {"layout", "plane"},
    "calibration.py": {"fabrication", "layout"},
    "make_plane.py": {"calibration", "fabrication", "layout", "plane"},
}
"""File -> the others of these that it may name, also for type checkers."""


def uniform(seed: int, shape: tuple[int, ...] = LAYOUT.shape) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.2, 0.2, shape).astype(np.float32)


@pytest.mark.parametrize("name", BELOW)
def test_arrays_do_not_know_how_they_are_made(name: str) -> None:
    path = Path(rpucc.runtime.array.__file__).with_name(name)
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    named = {str(node.module) for node in nodes if isinstance(node, ast.ImportFrom)}
    parts = {file.removesuffix(".py") for file in BELOW}
    assert parts & {module.removeprefix("rpucc.runtime.") for module in named} == BELOW[name]


def test_layouts_number_their_tiles_by_row_and_by_group() -> None:
    np.testing.assert_array_equal(LAYOUT.tiles, [[2, 3], [4, 5]])
    assert LAYOUT.shape == (5, 6)
    grouped = Layout.of((0, 3, 5), (0, 6), KEY, groups=3)
    assert grouped.shape == (15, 6)
    np.testing.assert_array_equal(grouped.row_cuts, [0, 3, 5, 8, 10, 13, 15])
    np.testing.assert_array_equal(grouped.group_cuts, [0, 3, 5])
    np.testing.assert_array_equal(grouped.group_tiles, [[[0], [1]], [[2], [3]], [[4], [5]]])


def test_a_read_sees_the_only_plane_itself() -> None:
    W = uniform(0)
    array = make_array("fc", LAYOUT, make_device("constant-step", {}), W)
    assert array.visible is array.planes["weight"].W
    assert array.visible is not W
    np.testing.assert_array_equal(array.weights, W)
    array.visible[0, 0] = 0.125
    assert array.weights[0, 0] == 0.125
    with pytest.raises(ValueError, match="read-only"):
        array.weights[0, 0] = 1
    assert array.bytes == array.planes["weight"].bytes


def test_a_read_sees_the_sum_of_several_planes() -> None:
    device = SoftBounds(dw_min=0.01)
    planes = {
        name: make_plane("fc", Layout.of((0, 3, 5), (0, 4, 6), KEY, first_tile=i), device,
                         pulsed=True)
        for i, name in ((2, "fast"), (6, "slow"), (10, "unread"))
    }  # fmt: skip
    for i, plane in enumerate(planes.values()):
        plane.program(uniform(i))
    hidden = np.zeros(LAYOUT.shape, np.float32)
    array = Array("fc", LAYOUT, planes, {"fast": 0.5, "slow": 1.0}, {"hidden": hidden})
    half = np.float32(0.5)
    np.testing.assert_array_equal(array.weights, half * planes["fast"].W + planes["slow"].W)
    planes["fast"].W[:] = 0
    assert not np.array_equal(array.weights, planes["slow"].W)
    array.refresh()
    np.testing.assert_array_equal(array.weights, planes["slow"].W)
    assert array.bytes == sum(plane.bytes for plane in planes.values()) + 2 * hidden.nbytes
    assert not np.array_equal(planes["fast"].parameters, planes["slow"].parameters)
    assert array.farthest(array.state()) is None
    planes["unread"].W[3, 2] = 7
    assert array.farthest(array.state()) == 7


def test_what_is_programmed_is_clipped_and_counted_anew() -> None:
    device = make_device("constant-step", {})
    array = make_array("fc", LAYOUT, device, np.full(LAYOUT.shape, 9.0, np.float32))
    plane = array.planes["weight"]
    np.testing.assert_array_equal(plane.W, plane.parameters[2])
    assert array.clipped == array.size == 30
    plane.program(np.zeros(LAYOUT.shape, np.float32))
    assert array.clipped == 0
    assert not array.weights.any()


def test_planes_add_up_what_calibration_found() -> None:
    how = Calibration(zero_shift=True, pairs=5)
    device = SoftBounds(up_down=0.2, dw_min=0.01)
    planes = {
        name: make_plane("fc", LAYOUT, device, pulsed=True, calibration=calibration)
        for name, calibration in (("a", how), ("b", None), ("c", how))
    }
    array = Array("fc", LAYOUT, planes)
    assert array.symmetry is not None
    assert array.symmetry.before.count == 60
    assert make_array("fc", LAYOUT, device, uniform(1)).symmetry is None
