"""What follows from a model's parameters: how fine its steps are, and where they cancel."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rpucc.runtime.devices.base import Device
from rpucc.runtime.devices.symmetry import symmetry_points


@dataclass(frozen=True)
class Derived:
    """Figures of the mean device of a model: one whose normals are 0."""

    dw_min: float
    granularity: float
    """The step that pulse probabilities are divided by."""
    low: float
    high: float
    """Lowest and highest weight; infinite where there is no bound."""
    symmetry_point: float | None
    """Where an up and a down pulse cancel; None where they do at no weight."""

    @property
    def states(self) -> float | None:
        """Steps of dw_min from bound to bound, as datasheets count them; None without bounds."""
        return self._steps(self.dw_min)

    @property
    def granular_states(self) -> float | None:
        """Steps of the granularity from bound to bound."""
        return self._steps(self.granularity)

    def as_data(self) -> dict[str, float | None]:
        """The figures by their names, None for what is infinite."""
        return {
            "granularity": self.granularity,
            "states": self.states,
            "granular_states": self.granular_states,
            "symmetry_point": self.symmetry_point,
        }

    def _steps(self, step: float) -> float | None:
        span = self.high - self.low
        return span / step if math.isfinite(span) else None


def derived(device: Device) -> Derived:
    """Work out the figures of a model's mean device."""
    low, high = (float(str(np.float32(bound))) for bound in device.mean_range())
    mean = device.fabricate(lambda: np.zeros((1, 1), np.float32))
    points = symmetry_points(device, mean, (1, 1))
    point = float(points.weights[0, 0]) if points.exists.all() else None
    return Derived(device.dw_min, device.granularity, low, high, point)
