"""Refreshing pairs of devices that are only pulsed up: both reset, the difference written anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.cells.one_sided import OPEN_LOOP
from rpucc.runtime.devices.compiled import compile_pulse_counts
from rpucc.runtime.kernels.converters import digitise
from rpucc.runtime.kernels.list_scratch import list_scratch
from rpucc.runtime.kernels.open_loop import count_pulses
from rpucc.runtime.kernels.philox import REFRESH_READ, REFRESH_RESET, REFRESH_WRITE
from rpucc.runtime.kernels.update_arguments import Devices
from rpucc.runtime.plane_normals import normals

if TYPE_CHECKING:
    from rpucc.cells.one_sided import OneSided
    from rpucc.runtime.cells.arguments import TransferRead
    from rpucc.runtime.plane import Plane

FloatArray = NDArray[np.float32]
MOST_SLOTS = 31
"""Of the pulsed update that writes a column in an open loop."""


def refresh(
    positive: Plane, negative: Plane, cell: OneSided, read: TransferRead, sample: int,
    first: int,
) -> int:  # fmt: skip
    """Refresh the pairs of which both devices have come far up; returns the pulses of writing.

    Both planes are read column by column. Where the larger value is above `refresh_upper` and the
    smaller above `refresh_lower` of what their devices hold on average, both are reset and the
    difference goes to the larger one's side. sample: whose draws these are; first: as in
    `pulse_counts`, of those that write in an open loop.
    """
    pair, verified = (positive, negative), cell.refresh_writes != OPEN_LOOP
    verified = verified or positive.pulsed is not True  # the mean of pulses has no trains
    tops = [np.float32(plane.device.mean_range()[1]) for plane in pair]
    refreshed: list[tuple[slice, NDArray[np.bool_]]] = []
    wanted: FloatArray | None = None if verified else np.zeros_like(positive.W)
    for rows in positive.layout.row_blocks():
        seen = [_seen(plane, rows, read, sample) for plane in pair]
        parts = [each / top for each, top in zip(seen, tops, strict=True)]
        full = np.maximum(*parts) > cell.refresh_upper
        full &= np.minimum(*parts) > cell.refresh_lower
        if positive.mask is not None:
            full &= positive.mask[rows]
        if not full.any():
            continue
        difference = np.where(full, seen[0] - seen[1], np.float32(0))
        for plane, move in zip(pair, (difference, -difference), strict=True):
            written = np.maximum(move, 0) if verified else _reset(plane, rows, sample)
            plane.program_some(rows, full, written)
        refreshed.append((rows, full))
        if wanted is not None:
            wanted[rows] = difference
    pulses = 0
    if wanted is not None and wanted.any():
        pulses = _write(pair, wanted, sample, first)
    for rows, full in refreshed:
        for plane in pair:
            plane.rest.write_some(plane.W, rows, full, REFRESH_WRITE, sample)
            plane.leave_missing(plane.seen[rows], rows)
    return pulses


def _seen(plane: Plane, rows: slice, read: TransferRead, sample: int) -> FloatArray:
    """What a read of each column gives of some rows [rows, C]."""
    found = plane.seen[rows].copy()
    if read.noise > 0:
        found += read.noise * normals(plane.layout, rows, REFRESH_READ, sample)
    values = found.reshape(-1)
    digitise(values, values, read.bound, read.adc_step, np.float32(1))
    return found


def _reset(plane: Plane, rows: slice, sample: int) -> FloatArray:
    """Where the devices of some rows [rows, C] are after a reset: 0, or what their model says."""
    found = np.zeros((rows.stop - rows.start, plane.W.shape[1]), np.float32)
    targets, std = plane.resets.targets, plane.resets.std
    if len(targets):
        found += targets[rows] if len(targets) > 1 else targets
    if std > 0:
        found += std * normals(plane.layout, rows, REFRESH_RESET, sample)
    return found


def _write(pair: tuple[Plane, Plane], wanted: FloatArray, sample: int, first: int) -> int:
    """Pulse wanted [R, C] into planes, positive ones into the first; returns the pulses.

    Each plane column by column of its tiles, with the trains of an update at rate 1 under update
    management and update BL management (Gokmen et al. 2017).
    """
    pulses, (rows, columns) = 0, wanted.shape
    words = np.empty((2, MOST_SLOTS + 128), np.uint32)
    for plane, side in zip(pair, (1, -1), strict=True):
        layout, counts = plane.layout, np.zeros(wanted.shape, np.int32)
        count_pulses(
            np.maximum(side * wanted, 0), counts, layout.for_kernels,
            np.float32(plane.device.up_granularity), MOST_SLOTS, sample, *layout.key, words,
        )  # fmt: skip
        devices = Devices(plane.codes, plane.ranges, plane.constants)  # what is seen comes after
        pulses += compile_pulse_counts(plane.device)(
            0, rows, 0, columns, plane.W, devices, counts, layout.for_kernels, first, sample,
            *layout.key, list_scratch(),
        )  # fmt: skip
    return pulses
