"""Making the array of a layer of cells: its planes, its state, and what reads see."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.cells import COUNT
from rpucc.errors import TargetError
from rpucc.runtime import aligned
from rpucc.runtime.array import Array
from rpucc.runtime.calibration import zero_shift
from rpucc.runtime.fabrication import fabricate
from rpucc.runtime.make_plane import make_plane

if TYPE_CHECKING:
    from rpucc.cells import Cell
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.runtime.plane import Plane
    from rpucc.target.target import Calibration
    from rpucc.target.values import Pulsed

Mask = NDArray[np.bool_] | None
Fixed = Mapping[str, Mask]


def make_cells(
    layer: str, layout: Layout, cell: Cell, device: Callable[[str], Device],
    W: NDArray[np.float32], *, pulsed: Pulsed, calibration: Calibration, training: bool,
    mask: NDArray[np.bool_] | None = None, missing: NDArray[np.bool_] | None = None,
) -> Array:  # fmt: skip
    """An array of cells that holds W [R, C], as far as the devices of its first plane can.

    device: gives the devices of a plane by its name. Planes have the tiles of `layout` and those
    numbered on from there, in the order of `cell.arrays`. mask: which weights are trained [R, C];
    missing: which have no devices, in any plane. Raises TargetError, which names the layer, where
    the devices of a plane cannot be zero-shifted.
    """
    first, *others = names = cell.arrays(training=training)
    layouts = {name: layout.numbered_on(i) for i, name in enumerate(names)}
    fixed = {"mask": mask, "missing": missing}
    if cell.sides is not None and pulsed and calibration.zero_shift:
        raise TargetError(
            f"layer '{layer}': calibration.zero_shift: devices of a {cell.model} cell are "
            "only pulsed up, which no symmetry point helps; leave it out, or take another cell"
        )
    if cell.reference in names:
        return _with_reference(layer, layouts, cell, device, W, pulsed, calibration, fixed)
    main = make_plane(layer, layout, device(first), pulsed=pulsed, calibration=calibration)
    _fix(main, **fixed)
    main.program(W)
    planes = {first: main}
    for name in others:
        shifted = calibration.model_copy(update={"zero_shift": name in cell.shifted})
        planes[name] = make_plane(
            layer, layouts[name], device(name), pulsed=pulsed, calibration=shifted,
            key=f"cell.{cell.shift_key}",
        )  # fmt: skip
        _fix(planes[name], **fixed)
    buffers: dict[str, NDArray[Any]] = {}
    if COUNT in cell.state and training:
        buffers[COUNT] = np.zeros((), np.int64)
    kept = {*cell.buffers, *cell.flags, *cell.column_flags, *cell.means}
    for name in cell.state if training else ():
        if name not in kept:
            continue
        buffers[name] = aligned.empty(cell.state_shape(name, layout.shape), np.float32)
        buffers[name][...] = 0
    array = Array(
        layer, layout, planes, cell.gains, buffers, cell.sides if pulsed else None, cell.turned
    )
    if cell.sides is not None and pulsed:
        array.program(W)
    return array


def _with_reference(
    layer: str, layouts: dict[str, Layout], cell: Cell, device: Callable[[str], Device],
    W: NDArray[np.float32], pulsed: Pulsed, calibration: Calibration, fixed: Fixed,
) -> Array:  # fmt: skip
    """A plane that learns and a constant one, which is subtracted.

    The constant one holds what zero-shifting makes of it, as far as its devices reach, else zero.
    Where the devices of the other can say how they look from there, its weights are kept as
    differences: then a read sees the plane itself.
    """
    first, constant = names = tuple(layouts)
    layout, devices = layouts[first], device(first)
    other = _fix(fabricate(layouts[constant], device(constant), pulsed=pulsed), **fixed)
    symmetry = None
    if pulsed and calibration.zero_shift:
        points, symmetry = zero_shift(layer, layout, devices, calibration, folded=False)
        other.program(points)
    if seen_directly(cell, {first: devices}, pulsed=pulsed):
        plane = fabricate(layout, devices, pulsed=pulsed, reference=other.seen)
        _fix(plane, **fixed).program(W)
        gains = {first: 1.0}
    else:
        plane = fabricate(layout, devices, pulsed=pulsed)
        _fix(plane, **fixed).program(W + other.seen)
        gains = dict(cell.gains)
    plane.symmetry, other.clipped, other.learns = symmetry, 0, False
    return Array(layer, layout, dict(zip(names, (plane, other), strict=True)), gains)


def _fix(plane: Plane, mask: Mask, missing: Mask) -> Plane:
    """Say which weights of a plane are trained, and which have no device."""
    plane.mask, plane.missing = mask, missing
    return plane


def seen_directly(cell: Cell, devices: Mapping[str, Device], *, pulsed: Pulsed) -> bool:
    """Whether a read sees a plane itself, so that no sum of planes is kept beside them."""
    folded = bool(cell.reference) and (not pulsed or can_shift(devices[cell.planes[0]]))
    return folded or list(cell.gains.values()) == [1.0]


def can_shift(device: Device) -> bool:
    """Whether a device model says how its devices look from a reference (`Device.shifted`)."""
    from rpucc.runtime.devices import Device

    return type(device).shifted is not Device.shifted
