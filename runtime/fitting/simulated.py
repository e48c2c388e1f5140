"""What a device that was fitted does with the pulses that the measured ones got.

The devices are those that a training would have, drawn from the target's section and pulsed by the
same kernels. Not for the fit: it never simulates.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.calibration import pulse_devices
from rpucc.runtime.devices import Device
from rpucc.runtime.fabrication import draw_devices
from rpucc.runtime.fitting.curves import Curves, DeviceCurve, Floats
from rpucc.runtime.kernels.philox import seed_key
from rpucc.runtime.layout import Layout

SAMPLE = 200
"""Devices that are simulated."""
POINTS = 240
"""Of a curve, at most."""


@dataclass(frozen=True)
class Sample:
    """Weights of some devices against pulses; nan where none is known."""

    pulses: NDArray[np.int64]
    """[points]"""
    weights: Floats
    """[devices, points]"""

    @property
    def mean(self) -> Floats:
        """Over devices, nan at points that fewer than half of them have."""
        return self._over(np.nanmean)

    @property
    def std(self) -> Floats:
        """Over devices."""
        return self._over(np.nanstd)

    def _over(self, take: Callable[..., Any]) -> Floats:
        enough = np.isfinite(self.weights).sum(axis=0) * 2 >= len(self.weights)
        found = np.full(len(self.pulses), np.nan)
        found[enough] = take(self.weights[:, enough], axis=0)
        return found


def measured(curves: Curves) -> Sample:
    """Return what was read, at no more than POINTS numbers of pulses."""
    last = max(_places(each)[-1] for each in curves.devices)
    every = np.unique(np.concatenate([_places(each) for each in curves.devices]))
    if len(every) > POINTS:
        wanted = np.linspace(0, last, POINTS)
        every = np.unique(every[np.searchsorted(every, wanted).clip(0, len(every) - 1)])
    weights = np.full((len(curves.devices), len(every)), np.nan)
    for row, curve in zip(weights, curves.devices, strict=True):
        places = _places(curve)
        at = np.searchsorted(every, places).clip(0, len(every) - 1)
        here = curve.seen & (every[at] == places)
        row[at[here]] = curve.values[here]
    return Sample(every, weights)


def simulated(device: Device, curves: Curves, read_noise: float, seed: int = 0) -> Sample:
    """Pulse devices of this kind as the measured one with most pulses was, from where those began.

    read_noise: standard deviation of what is added to every weight that is read.
    """
    longest = max(curves.devices, key=lambda each: each.pulses)
    directions = np.repeat(np.sign(longest.counts), np.abs(longest.counts)).astype(np.int8)
    points = np.unique(np.linspace(0, len(directions), POINTS).round().astype(np.int64))
    layout, row = Layout.of((0, 1), (0, SAMPLE), seed_key(seed)), slice(0, 1)
    fabricated = draw_devices(layout, device, row)
    starts = np.array([each.values[0] for each in curves.devices], np.float32)
    low, high = device.weight_range(fabricated)
    w = np.clip(np.resize(starts, (1, SAMPLE)), low, high).astype(np.float32)
    weights = np.empty((SAMPLE, len(points)))
    weights[:, 0] = w
    for k, (first, end) in enumerate(itertools.pairwise(points)):
        part = np.ascontiguousarray(directions[first:end])
        pulse_devices(layout, device, row, w, fabricated, part, int(first))
        weights[:, k + 1] = w
    random = np.random.default_rng(seed)
    return Sample(points, weights + read_noise * random.standard_normal(weights.shape))


def _places(curve: DeviceCurve) -> NDArray[np.int64]:
    """How many pulses a device had before each read."""
    return np.cumsum(np.abs(curve.counts))
