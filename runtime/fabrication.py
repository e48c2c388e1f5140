"""Fabricating a plane: every device's parameters, drawn and stored.

Done a block of rows at a time, so that what is in memory beside the result does not grow with the
matrix.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import TargetError
from rpucc.runtime import aligned
from rpucc.runtime.kernels.philox import FABRICATE
from rpucc.runtime.plane import Plane
from rpucc.runtime.plane_normals import normals

if TYPE_CHECKING:
    from rpucc.runtime.devices import Device
    from rpucc.runtime.layout import Layout
    from rpucc.target.values import Pulsed

FloatArray = NDArray[np.float32]

CODES = 65535
"""The largest code of a packed parameter."""

LEAST_STEP = np.float32(1e-30)


def fabricate(
    layout: Layout, device: Device, *, pulsed: Pulsed, reference: FloatArray | None = None
) -> Plane:
    """A plane of fabricated devices; all weights are 0.

    reference: what weights count from [R, C]; the devices are kept as they look from it.
    """
    # Where updates are exact no device property plays a part.
    count = len(device.per_device) if pulsed else 0
    # Kernels read codes 16 at a time, up to 15 behind the last.
    kind: Any = np.uint16 if device.packed else np.float32
    W = aligned.empty(layout.shape, np.float32)
    W[...] = 0
    plane = Plane(
        W=W,
        layout=layout,
        device=device,
        pulsed=pulsed,
        codes=aligned.empty((count, *layout.shape), kind, spare=16),
        ranges=np.zeros((*layout.tiles.shape, count, 2), np.float32),
        constants=constants_of(device),
        reference=reference,
    )
    for band in _bands(layout) if pulsed else ():
        parts = list(_parts(layout, band))
        if device.packed:  # a code's range is the whole tile's: it has to be known first
            for rows in parts:
                fabricated = draw(plane, rows)
                _widen(plane, band, rows, fabricated)
            _scale(plane, band)
        for rows in parts:
            if not device.packed or len(parts) > 1:
                fabricated = draw(plane, rows)
            _store(plane, rows, fabricated)
    return plane


def constants_of(device: Device) -> FloatArray:
    """What all devices have alike, float32. Raises TargetError where the model gives too few."""
    values = device.constant_values()
    if len(values) != len(device.constants):
        raise TargetError(
            f"device '{device.name}': constant_values must return "
            f"{len(device.constants)} numbers ({', '.join(device.constants)})"
        )
    return device.all_constants()


def _bands(layout: Layout) -> Iterator[slice]:
    """Row blocks of tiles that are fabricated together: as many as fit, or one that does not."""
    cuts = layout.row_cuts
    first, last = 0, len(cuts) - 1
    while first < last:
        fit = int(np.searchsorted(cuts, cuts[first] + layout.rows_at_once, side="right")) - 1
        end = max(fit, first + 1)
        yield slice(first, end)
        first = end


def _parts(layout: Layout, band: slice) -> Iterator[slice]:
    """Rows of a band that are fabricated at once: all of them, or pieces of its only row block."""
    return layout.row_blocks(int(layout.row_cuts[band.start]), int(layout.row_cuts[band.stop]))


def draw(plane: Plane, rows: slice) -> tuple[FloatArray, ...]:
    """The parameters of the devices of some rows, where weights count from the reference."""
    fabricated = draw_devices(plane.layout, plane.device, rows)
    if plane.reference is None:
        return fabricated
    return plane.device.shifted(fabricated, plane.reference[rows])


def draw_devices(layout: Layout, device: Device, rows: slice) -> tuple[FloatArray, ...]:
    """The parameters of the devices of some rows as they are fabricated."""
    shape = (rows.stop - rows.start, layout.shape[1])
    fabricated = device.fabricate(_normals(layout, rows))
    needed = len(device.per_device)
    if len(fabricated) != needed or any(np.shape(a) != shape for a in fabricated):
        raise TargetError(
            f"device '{device.name}': fabricate must return {needed} arrays of the shape that "
            f"`normal` gives, here {list(shape)} (per_device = "
            f"{', '.join(device.per_device) or '()'}); it returned "
            f"{[list(np.shape(a)) for a in fabricated]}"
        )
    return fabricated


def _normals(layout: Layout, rows: slice) -> Callable[[], FloatArray]:
    """The function that gives a device model the next normals of those rows."""
    indices = itertools.count()
    return lambda: normals(layout, rows, FABRICATE, next(indices))


def _widen(plane: Plane, band: slice, rows: slice, fabricated: tuple[FloatArray, ...]) -> None:
    """Let ranges[band, :, i] be the least and largest value so far of parameter i in each tile."""
    starts = np.maximum(plane.layout.row_cuts[band] - rows.start, 0)
    for i, values in enumerate(fabricated):
        seen = plane.ranges[band, :, i]
        for extreme, j in ((np.minimum, 0), (np.maximum, 1)):
            across = extreme.reduceat(values, plane.layout.col_cuts[:-1], axis=1)
            found = extreme.reduceat(across, starts, axis=0)
            first = rows.start == plane.layout.row_cuts[band.start]
            seen[..., j] = found if first else extreme(found, seen[..., j])


def _scale(plane: Plane, band: slice) -> None:
    """Make (lowest, highest) of each tile's parameters (lowest, step of the codes)."""
    low, high = plane.ranges[band, ..., 0], plane.ranges[band, ..., 1]
    # All codes of a tile of equal devices are 0, whatever a step is; 0 / 0 would not be.
    plane.ranges[band, ..., 1] = np.maximum((high - low) / np.float32(CODES), LEAST_STEP)


def _store(plane: Plane, rows: slice, fabricated: tuple[FloatArray, ...]) -> None:
    for i, values in enumerate(fabricated):
        if not plane.device.packed:
            plane.codes[i, rows] = values
            continue
        low, step = plane.ranges_of(rows, i)
        plane.codes[i, rows] = np.rint((values - low) / step)
