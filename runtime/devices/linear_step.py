"""The linear-step device: steps shrink, in a straight line, as the weight nears its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.constant_step import ConstantStep

# Where up and down steps are parallel they cancel nowhere, or everywhere: this keeps the symmetry
# point of such a device a number, which is then cut to the device's bounds.
LEAST_SLOPE = np.float32(1e-30)


class LinearStep(ConstantStep):
    """Δw+ = a+ (1 - γ+ w / w_max)(1 + std ξ), Δw- = -a- (1 - γ- w / w_min)(1 + std ξ), clipped.

    a+, a-, w_max, w_min are drawn as for `ConstantStep` (a± = dw_min (1 ± β)(1 + dtod ζ)), the
    slopes γ of a device as γ (1 + dtod ζ), kept in [0, 1]: beyond 1 a pulse would turn round
    before the bound. Source: physics.md section 4; Rasch et al. 2021 (arXiv 2104.02184), there
    `LinearStepDevice`.

    A device is kept as two straight lines, up(w) = dw_up + slope_up w and down(w) = dw_down +
    slope_down w: the same form whichever weight is called zero, see `shifted`.
    """

    name = "linear-step"
    summary = "steps shrink linearly towards the bounds, by slopes γ; all spreads"
    source = "Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, float]] = {
        **ConstantStep.defaults,
        "gamma_up": 0.5,
        "gamma_up_dtod": 0.05,
        "gamma_down": 0.5,
        "gamma_down_dtod": 0.05,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ConstantStep.ranges,
        "gamma_up": (0.0, 1.0),
        "gamma_up_dtod": (0.0, 10.0),
        "gamma_down": (0.0, 1.0),
        "gamma_down_dtod": (0.0, 10.0),
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        **ConstantStep.variations,
        "dtod": ("dw_min_dtod", "gamma_up_dtod", "gamma_down_dtod"),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ConstantStep.meanings,
        "dw_min": "mean weight change of one pulse at weight 0",
        "gamma_up": "mean slope of up steps; 0 is a constant step, 1 none at w_max",
        "gamma_up_dtod": "its spread (fraction of the mean)",
        "gamma_down": "mean slope of down steps; 0 is a constant step, 1 none at w_min",
        "gamma_down_dtod": "its spread (fraction of the mean)",
    }
    per_device = ("dw_up", "slope_up", "dw_down", "slope_down", "w_max", "w_min")

    def fabricate(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """Both lines (at weight 0 and slope; up falls, down rises), upper and lower bound."""
        up, down, w_max, w_min = super().fabricate(normal)
        gamma_up, gamma_down = self._gammas(normal)
        return up, -gamma_up * up / w_max, down, -gamma_down * down / w_min, w_max, w_min

    def _gammas(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, FloatArray]:
        """The slopes γ+ and γ- of every device."""
        p, one = self.parameters, np.float32(1)
        gammas = (
            np.float32(p[key]) * (one + np.float32(p[f"{key}_dtod"]) * normal())
            for key in ("gamma_up", "gamma_down")
        )
        up, down = (np.clip(gamma, np.float32(0), one) for gamma in gammas)
        return up, down

    def weight_range(self, fabricated: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """Each device's own bounds."""
        return fabricated[5], fabricated[4]

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray:
        """w* = (a+ - a-) / (γ+ a+ / w_max - γ- a- / w_min), cut to the device's bounds."""
        up, slope_up, down, slope_down, w_max, w_min = fabricated
        point = (up - down) / np.maximum(slope_down - slope_up, LEAST_SLOPE)
        return np.asarray(np.clip(point, w_min, w_max))

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The same lines and bounds, met at w + reference."""
        up, slope_up, down, slope_down, w_max, w_min = fabricated
        return (
            up + slope_up * reference,
            slope_up,
            down + slope_down * reference,
            slope_down,
            w_max - reference,
            w_min - reference,
        )

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
        dw_min_std: float,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        up, down = dw_up + slope_up * w, dw_down + slope_down * w
        dw = direction * (up if direction > 0 else down)
        return min(max(w + (dw + dw * dw_min_std * noise), w_min), w_max)
