"""What a kind of device looks like: curves of a few, figures of many.

Not for drawing it: rpucc.report.html.gallery.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rpucc.runtime.devices import Device
from rpucc.runtime.devices.symmetry import symmetry_points
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.histogram import Histogram, histogram
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout
from rpucc.runtime.response import Response, response

CURVES, SAMPLE = 20, 1000
"""Devices whose curves are followed, and of which the figures are."""


@dataclass(frozen=True)
class Portrait:
    """A kind of device: how it answers to pulses, and how single devices differ."""

    device: Device
    response: Response
    upper: tuple[float, float] | None
    """Mean and standard deviation of the upper bounds; None where there are none."""
    lower: tuple[float, float] | None
    states: float | None
    """Mean number of steps (the device's granularity) from bound to bound."""
    symmetry: tuple[float, float] | None
    """Mean and standard deviation of the symmetry points."""
    without: float
    """The part of the devices that has none."""
    points: Histogram | None
    """Of the symmetry points."""


def portrait(device: Device, seed: int = 0) -> Portrait:
    """Draw devices and look at them."""
    layout, rows = Layout.of((0, 1), (0, SAMPLE), seed_key(seed)), slice(0, 1)
    fabricated = draw_devices(layout, device, rows)
    low, high = (
        np.broadcast_to(np.asarray(each, np.float64), (1, SAMPLE))
        for each in device.weight_range(fabricated)
    )
    found = symmetry_points(device, fabricated, (1, SAMPLE))
    known, bounded = found.known, bool(np.isfinite(low).all() and np.isfinite(high).all())
    return Portrait(
        device,
        response(device, CURVES, seed=seed),
        _moments(high) if bounded else None,
        _moments(low) if bounded else None,
        float(np.mean(high - low)) / device.granularity if bounded else None,
        _moments(known) if len(known) else None,
        1 - len(known) / SAMPLE,
        histogram(known) if len(known) else None,
    )


def _moments(values: np.ndarray) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values))
