"""Zero-shifting: weights that count from each device's symmetry point (Kim et al. 2019).

Where up and down steps of a device differ, pulses of both directions that should cancel pull its
weight to the symmetry point, at which they do cancel. Zero-shifting (arXiv 1907.10228) makes that
point zero: up and down pulses in turn bring every device there, a reference array is programmed
to the same values, and the weight is the device minus its reference.

Here weights and device parameters are kept as they look from the reference (`Device.shifted`), so
that reads, updates and bounds need not know of it. Assumed: the reference array stays as it was
programmed, with an error that is normal, and its subtraction is part of a read at no cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime.devices.compiled import compile_pulses
from rpucc.runtime.devices.symmetry import SymmetryPoints, symmetry_points
from rpucc.runtime.fabrication import constants_of, draw_devices
from rpucc.runtime.kernels.philox import REFERENCE
from rpucc.runtime.plane_normals import normals
from rpucc.runtime.spread import Symmetry

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.target.target import Calibration

FloatArray = NDArray[np.float32]


ZERO_SHIFT = "calibration.zero_shift"
"""The key of a target that asks for it."""


def zero_shift(
    layer: str, layout: Layout, device: Device, calibration: Calibration, key: str = ZERO_SHIFT,
    *, folded: bool = True,
) -> tuple[FloatArray, Symmetry]:  # fmt: skip
    """What the reference array of a plane comes to hold, float32 [R, C], and how well that fits.

    Symmetry points are the model's own, else searched (`devices/symmetry.py`). Raises TargetError,
    which names the layer and the key that asked for it, where the devices have none, or cannot say
    how they look from there though they are to be kept so (folded).
    """
    where = f"layer '{layer}': {key}"
    reference, symmetry = np.empty(layout.shape, np.float32), Symmetry()
    for rows in layout.row_blocks():
        fabricated = draw_devices(layout, device, rows)
        shape = rows.stop - rows.start, layout.shape[1]
        points = symmetry_points(device, fabricated, shape)
        if not points.exists.any():
            raise _refusal(
                where, device, "has no symmetry point: " + _nowhere(device, fabricated, points)
            )
        if np.isnan(points.weights).any():
            raise _refusal(
                where, device, "has devices without a symmetry point, and no bounds to stop them"
            )
        point = points.weights
        found = _alternated(layout, device, rows, fabricated, calibration.pairs)
        if calibration.reference_std:
            found += np.float32(calibration.reference_std) * normals(layout, rows, REFERENCE, 0)
        try:
            if folded:
                device.shifted(tuple(a[:0] for a in fabricated), found[:0])
        except NotImplementedError:
            raise _refusal(
                where, device, "does not say how it looks shifted (Device.shifted)"
            ) from None
        reference[rows] = found
        symmetry.before.add(point)
        symmetry.after.add(point - found)
    return reference, symmetry


def _nowhere(device: Device, fabricated: tuple[FloatArray, ...], points: SymmetryPoints) -> str:
    """Say why up and down pulses cancel at no weight, and how far that was looked for."""
    if not points.searched:
        return "up and down pulses cancel nowhere, its steps do not depend on the weight"
    low, high = (float(np.mean(bound)) for bound in device.weight_range(fabricated))
    between = f" between its bounds ({low:.3g} to {high:.3g} on average)"
    where = between if np.isfinite([low, high]).all() else ""
    return f"an up and a down pulse without noise cancel at no weight{where}"


def _refusal(where: str, device: Device, why: str) -> TargetError:
    key = where.rpartition(": ")[2]
    return TargetError(
        f"{where}: device '{device.name}' {why}; soft-bounds and linear-step devices can be "
        f"shifted, or set {key} = false"
    )


def _alternated(
    layout: Layout, device: Device, rows: slice, fabricated: tuple[FloatArray, ...], pairs: int
) -> FloatArray:
    """The weights of devices that start at zero, after so many pairs of an up and a down pulse."""
    w = nearest_to_zero(device, fabricated, (rows.stop - rows.start, layout.shape[1]))
    directions = np.tile(np.array([1, -1], np.int8), pairs)
    pulse_devices(layout, device, rows, w, fabricated, directions)
    return w


def nearest_to_zero(
    device: Device, fabricated: tuple[FloatArray, ...], shape: tuple[int, int]
) -> FloatArray:
    """The weights of devices that were programmed to 0, float32 of this shape."""
    low, high = device.weight_range(fabricated)
    return np.clip(np.zeros(shape, np.float32), low, high)


def pulse_devices(
    layout: Layout, device: Device, rows: slice, w: FloatArray, fabricated: tuple[FloatArray, ...],
    directions: NDArray[np.int8], first: int = 0,
) -> None:  # fmt: skip
    """Give every device of some rows the same pulses; changes w [rows, C] in place.

    directions: +1 or -1 for each pulse; first: the number of the first, which names its noise.
    """
    shape = len(fabricated), *w.shape
    parameters = np.stack(fabricated) if fabricated else np.empty(shape, np.float32)
    scratch = np.empty(layout.longest_segment + 128, np.float32)
    compile_pulses(device)(
        w, parameters, constants_of(device), directions, first, rows.start, layout.row_cuts,
        layout.col_cuts, layout.tiles, *layout.key, scratch,
    )  # fmt: skip
