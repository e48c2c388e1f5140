"""What the devices of a layer are like and where its weights lie between their bounds.

For the record of a training (`state_figures`, once an epoch) and for its report (`device_figures`).
Not for what a verdict is given on: `layer_figures.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.histogram import Histogram, histogram

if TYPE_CHECKING:
    from rpucc.runtime.array import Array
    from rpucc.runtime.plane import Plane

SEEN = ""
"""The name of what reads see, where that is no plane: a sum of several."""
TRIED_ROWS, TRIED_COLUMNS = 16, 96
"""Devices of a plane whose steps are tried one by one, spread over it."""
OUTER = 0.005
"""Part of them at either end that the last bins of a histogram take in."""
BOUNDED = 1 << 22
"""Devices of a plane whose bounds are counted, about: whole blocks of rows, spread over it."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class PlaneState:
    """Where the weights of a plane lie at one moment."""

    plane: str
    weights: Histogram
    mean: float
    std: float
    at_lower: float | None = None
    at_upper: float | None = None
    """Parts of the devices within a step of a bound; None where there are no bounds."""


@dataclass(frozen=True)
class DeviceFigures:
    """The devices of a plane that learns: their bounds, and their steps at the present weights."""

    plane: str
    lower: Histogram | None
    upper: Histogram | None
    """Bounds from device to device; None where there are none."""
    step_up: float
    step_down: float
    """Mean size of an up and of a down step, without the noise from pulse to pulse."""
    asymmetry: Histogram
    """Up step less down step of a device, as a part of their mean: -2 to 2. Of the devices that
    have both (where none has, of 0); the outermost are counted in the last bins."""
    asymmetry_mean: float
    asymmetry_std: float
    tried: int
    """Devices that the steps are of."""
    stuck: int
    """How many of them have no step in one direction: they are at a bound."""


def state_figures(array: Array) -> list[PlaneState]:
    """Return where the weights of an array lie: what reads see, and each plane that learns."""
    states = [_state(name, plane) for name, plane in array.planes.items() if plane.learns]
    if all(plane.W is not array.visible for plane in array.planes.values()):
        states.insert(0, _state_of(SEEN, array.visible))
    return states


def device_figures(array: Array) -> list[DeviceFigures]:
    """Return the figures of the devices of each plane that pulses change."""
    found = array.planes.items()
    return [_devices(name, plane) for name, plane in found if plane.learns and plane.pulsed]


def _state_of(name: str, W: FloatArray) -> PlaneState:
    mean, std = float(W.mean(dtype=np.float64)), float(W.std(dtype=np.float64))
    return PlaneState(name, histogram(W), mean, std)


def _state(name: str, plane: Plane) -> PlaneState:
    found = _state_of(name, plane.W)
    if not plane.pulsed:
        return found
    step = np.float32(plane.device.granularity)
    lower = upper = 0
    for rows, low, high in _bounds(plane):
        if not (np.isfinite(low).any() or np.isfinite(high).any()):
            return found
        W = plane.W[rows]
        lower += int(np.count_nonzero(low + step >= W))
        upper += int(np.count_nonzero(high - step <= W))
    size = plane.W.size
    return PlaneState(name, found.weights, found.mean, found.std, lower / size, upper / size)


def _bounds(plane: Plane, every: int = 1) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
    """Yield rows of a plane with the lowest and highest weight of their devices."""
    for rows in islice(plane.layout.row_blocks(), 0, None, every):
        low, high = plane.device.weight_range(tuple(plane.parameters_of(rows)))
        yield rows, np.asarray(low), np.asarray(high)


def _devices(name: str, plane: Plane) -> DeviceFigures:
    ups, downs = _steps(plane)
    both = np.minimum(ups, downs) > 0
    part = np.array([0.0])
    if both.any():
        part = 2 * (ups - downs)[both] / (ups + downs)[both]
    bounds = list(_bounds(plane, 1 + plane.W.size // BOUNDED))
    lower, upper = _spread([low for _, low, _ in bounds]), _spread([high for _, _, high in bounds])
    return DeviceFigures(
        name,
        lower,
        upper,
        float(ups.mean()),
        float(downs.mean()),
        histogram(np.clip(part, *np.quantile(part, (OUTER, 1 - OUTER)))),
        float(part.mean()),
        float(part.std()),
        ups.size,
        int(np.count_nonzero(~both)),
    )


def _spread(parts: list[FloatArray]) -> Histogram | None:
    values = np.concatenate([np.atleast_1d(part).reshape(-1) for part in parts])
    return histogram(values) if np.isfinite(values).all() else None


def _steps(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sizes of the up and the down step of devices all over a plane, at their weights."""
    device, (rows, columns) = plane.device, plane.W.shape
    constants = device.step_constants()
    across = np.unique(np.linspace(0, columns - 1, min(columns, TRIED_COLUMNS)).astype(int))
    ups, downs = [], []
    for row in np.unique(np.linspace(0, rows - 1, min(rows, TRIED_ROWS)).astype(int)).tolist():
        fabricated = plane.parameters_of(slice(row, row + 1))
        own = [a[0, across].tolist() for a in fabricated]
        for i, w in enumerate(plane.W[row, across].tolist()):
            values = [a[i] for a in own]
            ups.append(float(device.step(w, 1.0, 0.0, *values, *constants)) - w)
            downs.append(w - float(device.step(w, -1.0, 0.0, *values, *constants)))
    return np.maximum(ups, 0.0), np.maximum(downs, 0.0)
