"""The response curve of a device model: how weights answer to pulses up, then to pulses down."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.calibration import nearest_to_zero, pulse_devices
from rpucc.runtime.devices import Device
from rpucc.runtime.devices.symmetry import symmetry_points
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout

FloatArray = NDArray[np.float32]

LEG_POINTS = 100
"""Points of the curve in each direction, at most."""
UNBOUNDED_PULSES = 1000
"""Pulses in each direction for devices without a bound to reach."""


@dataclass(frozen=True)
class Response:
    """The weights of a sample of devices under pulses up, then as many down, from weight zero."""

    pulses: NDArray[np.int64]
    """Pulses so far at each point, [points]; 0 first."""
    weights: FloatArray
    """[devices, points]."""
    leg: int
    """Pulses in each direction."""
    symmetry: FloatArray | None
    """The symmetry points of those devices that have one; None where none has."""
    searched: bool
    """Whether symmetry points were searched, as the model does not declare them."""
    seed: int

    @property
    def mean(self) -> FloatArray:
        """The mean weight at each point."""
        return np.asarray(self.weights.mean(axis=0))

    @property
    def std(self) -> FloatArray:
        """The spread from device to device at each point (standard deviation)."""
        return np.asarray(self.weights.std(axis=0))


def response(device: Device, devices: int, pulses: int | None = None, seed: int = 0) -> Response:
    """Pulse a seeded sample of devices up and down; `pulses` in each direction.

    Unless given, pulses are twice what constant steps would need from zero to the mean bound.
    """
    layout, row = Layout.of((0, 1), (0, devices), seed_key(seed)), slice(0, 1)
    fabricated = draw_devices(layout, device, row)
    leg = pulses or _pulses_to_bounds(device, fabricated)
    stops = np.unique(np.linspace(0, leg, min(leg, LEG_POINTS) + 1).round().astype(np.int64))
    at = np.concatenate([stops, leg + stops[1:]])
    weights = np.empty((devices, len(at)), np.float32)
    w = nearest_to_zero(device, fabricated, (1, devices))
    weights[:, 0] = w
    for point in range(1, len(at)):
        first, end = int(at[point - 1]), int(at[point])
        direction = 1 if end <= leg else -1
        same = np.full(end - first, direction, np.int8)
        pulse_devices(layout, device, row, w, fabricated, same, first)
        weights[:, point] = w
    points = symmetry_points(device, fabricated, (1, devices))
    symmetry = points.known if points.exists.any() else None
    return Response(at, weights, leg, symmetry, points.searched, seed)


def _pulses_to_bounds(device: Device, fabricated: tuple[FloatArray, ...]) -> int:
    _, high = device.weight_range(fabricated)
    bound = float(np.mean(high))
    return (
        max(1, round(2 * bound / device.granularity)) if math.isfinite(bound) else UNBOUNDED_PULSES
    )
