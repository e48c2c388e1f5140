"""Making the array of a layer of cells: its planes, its state, and what reads see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.runtime.array import Array
from rpucc.runtime.calibration import zero_shift
from rpucc.runtime.fabrication import fabricate
from rpucc.runtime.make_plane import make_plane

if TYPE_CHECKING:
    from rpucc.cells import Cell
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.target.target import Calibration
    from rpucc.target.values import Pulsed


def make_cells(
    layer: str, layout: Layout, cell: Cell, device: Callable[[str], Device],
    W: NDArray[np.float32], *, pulsed: Pulsed, calibration: Calibration, training: bool,
) -> Array:  # fmt: skip
    """An array of cells that holds W [R, C], as far as the devices of its first plane can.

    device: gives the devices of a plane by its name. Planes have the tiles of `layout` and those
    numbered on from there, in the order of `cell.arrays`. Raises TargetError, which names the
    layer, where the devices of a plane cannot be zero-shifted.
    """
    first, *others = names = cell.arrays(training=training)
    layouts = {name: layout.numbered_on(i) for i, name in enumerate(names)}
    if cell.reference in names:
        return _with_reference(layer, layouts, cell, device, W, pulsed, calibration)
    main = make_plane(layer, layout, device(first), pulsed=pulsed, calibration=calibration)
    main.program(W)
    planes = {first: main}
    for name in others:
        shifted = calibration.model_copy(update={"zero_shift": name in cell.shifted})
        planes[name] = make_plane(
            layer, layouts[name], device(name), pulsed=pulsed, calibration=shifted,
            key=f"cell.shift_{name}",
        )  # fmt: skip
    buffers: dict[str, NDArray[Any]] = {}
    if COUNT in cell.state and training:
        buffers[COUNT] = np.zeros((), np.int64)
    return Array(layer, layout, planes, cell.gains, buffers)


def _with_reference(
    layer: str, layouts: dict[str, Layout], cell: Cell, device: Callable[[str], Device],
    W: NDArray[np.float32], pulsed: Pulsed, calibration: Calibration,
) -> Array:  # fmt: skip
    """A plane that learns and a constant one, which is subtracted.

    The constant one holds what zero-shifting makes of it, as far as its devices reach, else zero.
    Where the devices of the other can say how they look from there, its weights are kept as
    differences: then a read sees the plane itself.
    """
    first, constant = names = tuple(layouts)
    layout, devices = layouts[first], device(first)
    fixed = fabricate(layouts[constant], device(constant), pulsed=pulsed)
    symmetry = None
    if pulsed and calibration.zero_shift:
        points, symmetry = zero_shift(layer, layout, devices, calibration, folded=False)
        fixed.program(points)
    if seen_directly(cell, {first: devices}, pulsed=pulsed):
        plane = fabricate(layout, devices, pulsed=pulsed, reference=fixed.W)
        plane.program(W)
        gains = {first: 1.0}
    else:
        plane = fabricate(layout, devices, pulsed=pulsed)
        plane.program(W + fixed.W)
        gains = dict(cell.gains)
    plane.symmetry, fixed.clipped, fixed.learns = symmetry, 0, False
    return Array(layer, layout, dict(zip(names, (plane, fixed), strict=True)), gains)


def seen_directly(cell: Cell, devices: Mapping[str, Device], *, pulsed: Pulsed) -> bool:
    """Whether a read sees a plane itself, so that no sum of planes is kept beside them."""
    folded = bool(cell.reference) and (not pulsed or can_shift(devices[cell.planes[0]]))
    return folded or list(cell.gains.values()) == [1.0]


def can_shift(device: Device) -> bool:
    """Whether a device model says how its devices look from a reference (`Device.shifted`)."""
    from rpucc.runtime.devices import Device

    return type(device).shifted is not Device.shifted
