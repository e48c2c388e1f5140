"""The linear-step device: steps shrink, in a straight line, as the weight nears its bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Self

import numpy as np

from rpucc.errors import TargetError
from rpucc.runtime.devices import sampling
from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.target.values import ParameterValue

# Where up and down steps are parallel they cancel nowhere, or everywhere: this keeps the symmetry
# point of such a device a number, which is then cut to the device's bounds.
LEAST_SLOPE = np.float32(1e-30)

OF_NOISE: Mapping[str, ParameterValue] = {"mult_noise": True, sampling.SUBTRACT: False}
MORE = (
    "dw_min_log_normal", "consistency", "corrupt_devices_prob", "reference_mean", "reference_std",
    sampling.SUBTRACT, "mult_noise", "mean_bound_reference", "reverse_up", "reverse_down",
    "slope_up_dtod", "slope_down_dtod",
)  # fmt: skip
"""Parameters of which others than the defaults need more of a device than two lines."""
MEANINGS: Mapping[str, str] = {
    "dw_min": "mean weight change of one pulse at weight 0",
    "mult_noise": "whether noise from pulse to pulse is a share of the step at the weight; else of "
    "that at weight 0, wherever the weight is",
    sampling.SUBTRACT: sampling.SUBTRACT_MEANING,
}


class LinearStep(ConstantStep):
    """Δw+ = a+ (1 - γ+ w / w_max)(1 + std ξ), Δw- = -a- (1 - γ- w / w_min)(1 + std ξ), clipped.

    a+, a-, w_max, w_min are drawn as for `ConstantStep` (a± = dw_min (1 ± β)(1 + dtod ζ)), the
    slopes γ of a device as γ (1 + dtod ζ), kept in [0, 1]: beyond 1 a pulse would turn round
    before the bound. Source: physics.md section 4; Rasch et al. 2021 (arXiv 2104.02184), there
    `LinearStepDevice`.

    A device is kept as two straight lines, up(w) = dw_up + slope_up w and down(w) = dw_down +
    slope_down w: the same form whichever weight is called zero, see `shifted`. What needs more of
    a device is in `linear_forms.py`.
    """

    name = "linear-step"
    summary = "steps shrink linearly towards the bounds, by slopes γ; all spreads"
    source = "Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ConstantStep.defaults,
        "gamma_up": 0.5,
        "gamma_up_dtod": 0.05,
        "gamma_down": 0.5,
        "gamma_down_dtod": 0.05,
        "mean_bound_reference": False,
        "reverse_up": False,
        "reverse_down": False,
        **OF_NOISE,
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
        "dtod": (*ConstantStep.variations["dtod"], "gamma_up_dtod", "gamma_down_dtod"),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ConstantStep.meanings,
        **MEANINGS,
        "gamma_up": "mean slope of up steps; 0 is a constant step, 1 none at w_max",
        "gamma_up_dtod": "its spread (fraction of the mean)",
        "gamma_down": "mean slope of down steps; 0 is a constant step, 1 none at w_min",
        "gamma_down_dtod": "its spread (fraction of the mean)",
        "mean_bound_reference": "whether slopes refer to the mean bounds, not to a device's own",
        "reverse_up": "whether up steps grow towards w_max, with the slope's bound at w_min - 0.01",
        "reverse_down": "whether down steps grow towards w_min, the slope's bound at w_max + 0.01",
    }
    per_device: ClassVar[tuple[str, ...]] = (
        "dw_up", "slope_up", "dw_down", "slope_down", "w_max", "w_min",
    )  # fmt: skip

    general: ClassVar[type[LinearStep] | None] = None
    """The class of the same devices of which more is kept, set where it is defined."""

    @classmethod
    def form(cls, parameters: Mapping[str, ParameterValue]) -> type[Self]:
        """This class, or the one that keeps a device's bare steps and its reference apart."""
        kept = {**cls.defaults, **parameters}
        changed = [key for key in MORE if key in cls.defaults and kept[key] != cls.defaults[key]]
        if not changed or "reference" in cls.per_device:
            return cls
        general: type[Self] | None = vars(cls).get("general")
        if general is None:
            raise TargetError(
                f"device.{changed[0]}: class '{cls.__name__}' is derived from {cls.__base__}, whose"
                " devices have another form with it; leave it as it is, or derive from Device"
            )
        return general

    def _own(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """The slopes γ+ and γ- of every device."""
        p, one = self.parameters, np.float32(1)
        gammas = (
            np.float32(p[key]) * (one + np.float32(p[f"{key}_dtod"]) * normal())
            for key in ("gamma_up", "gamma_down")
        )
        if p["consistency"] == sampling.MIRRORED:
            return tuple(np.abs(gamma) for gamma in gammas)
        return tuple(np.clip(gamma, np.float32(0), one) for gamma in gammas)

    def _kept(
        self, devices: tuple[FloatArray, ...], own: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, ...]:
        """Both lines (at weight 0 and slope; up falls, down rises), upper and lower bound."""
        (up, down, w_max, w_min), (gamma_up, gamma_down) = devices, own
        return up, -gamma_up * up / w_max, down, -gamma_down * down / w_min, w_max, w_min

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
