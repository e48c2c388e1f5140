"""Linear steps of which more is kept: bare steps apart from slopes, and a reference.

For what two straight lines between bounds of one scale (`linear_step.py`) do not say: noise that is
a share of the bare step wherever the weight is, and devices of which some have bounds or slopes of
another scale than the rest. Same parameters, same draws.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.linear_step import LEAST_SLOPE, LinearStep
from rpucc.runtime.devices.soft_bounds import SoftBounds

__all__ = ["GeneralLinearStep", "GeneralSoftBounds", "LinearStep", "SoftBounds"]

ONE: Any = np.float32(1)
REVERSE_OFFSET = np.float32(0.01)
"""How far behind the bound a reversed step would vanish, in units of the weight."""


class GeneralLines(LinearStep):
    """Δw+ = a+ (1 - k+ v + noise), Δw- = -a- (1 - k- v + noise) at v = w + reference, clipped.

    k+ = γ+ / w_max, k- = γ- / w_min: the share of the bare step that a unit of the weight takes
    away; noise: std (1 - k v) ξ, or std ξ where it is additive (`mult_noise = false`). Source:
    Rasch et al. 2021 (arXiv 2104.02184), `LinearStepDevice`; `SoftBoundsReferenceDevice` there.
    """

    per_device = ("dw_up", "slope_up", "dw_down", "slope_down", "w_max", "w_min", "reference")
    constants = ("noise_of_step", "noise_of_bare_step")
    packed = False

    def constant_values(self) -> tuple[float, ...]:
        """The noise from pulse to pulse, where it is multiplicative and where additive."""
        noise = self.parameters["dw_min_std"]
        return (noise, 0.0) if self.parameters["mult_noise"] else (0.0, noise)

    def _kept(
        self, devices: tuple[FloatArray, ...], own: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, ...]:
        """Bare steps and slopes of either direction, both bounds, and a reference of 0."""
        (up, down, w_max, w_min), (gamma_up, gamma_down) = devices, own
        end_up, end_down = self._ends(w_max, w_min)
        slope_up = np.where(end_up != 0, gamma_up / np.where(end_up == 0, ONE, end_up), 0)
        slope_down = np.where(end_down != 0, gamma_down / np.where(end_down == 0, ONE, end_down), 0)
        slopes = (np.broadcast_to(k, up.shape).astype(np.float32) for k in (slope_up, slope_down))
        k_up, k_down = slopes
        return up, k_up, down, k_down, w_max, w_min, np.zeros_like(up)

    def _ends(self, w_max: FloatArray, w_min: FloatArray) -> tuple[Any, Any]:
        """The bounds that the slopes of up and down steps refer to."""
        p = self.parameters
        if p.get("mean_bound_reference"):
            w_max, w_min = np.asarray(p["w_max"], np.float32), np.asarray(p["w_min"], np.float32)
        up = w_min - REVERSE_OFFSET if p.get("reverse_up") else w_max
        down = w_max + REVERSE_OFFSET if p.get("reverse_down") else w_min
        return up, down

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray:
        """v* = (a+ - a-) / (k+ a+ - k- a-), less the reference, cut to the device's bounds."""
        up, slope_up, down, slope_down, w_max, w_min, reference = fabricated
        point = (up - down) / np.maximum(up * slope_up - down * slope_down, LEAST_SLOPE)
        return np.asarray(np.clip(point - reference, w_min, w_max))

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The same lines at a reference that is so much further, and bounds from there."""
        *lines, w_max, w_min, before = fabricated
        return *lines, w_max - reference, w_min - reference, before + reference

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        slope_up: float,
        dw_down: float,
        slope_down: float,
        w_max: float,
        w_min: float,
        reference: float,
        noise_of_step: float,
        noise_of_bare_step: float,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        v = w + reference
        bare = direction * (dw_up if direction > 0 else dw_down)
        part = ONE - (slope_up if direction > 0 else slope_down) * v
        dw = bare * (part + (part * noise_of_step + noise_of_bare_step) * noise)
        moved: float = min(max(w + dw, w_min), w_max)
        return moved


class GeneralLinearStep(GeneralLines):
    """`LinearStep` in this form."""


class GeneralSoftBounds(GeneralLines, SoftBounds):
    """`SoftBounds` in this form: γ = 1, of the device's own bounds."""


LinearStep.general = GeneralLinearStep
SoftBounds.general = GeneralSoftBounds
