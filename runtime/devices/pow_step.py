"""The power-step device: steps are a power of the part of the range that is left."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.halving import cancelling
from rpucc.runtime.devices.shaped_step import LEAST_RANGE, ONE, ZERO, ShapedStep
from rpucc.runtime.scalars.powers import power
from rpucc.target.values import ParameterValue


class PowStep(ShapedStep):
    """Δw+ = a+ ((w_max - w) / (w_max - w_min))^γ+, Δw- = -a- ((w - w_min) / (w_max - w_min))^γ-.

    Between the device's own bounds and clipped there; times 1 + std ξ; a± as for `ConstantStep`.
    The powers are one-sided whatever `asymmetry` says, and their magnitudes count: γ+ = γ (1 +
    min(ud, 0) + dtod ζ + r), γ- = γ (1 - max(ud, 0) + dtod ζ - r), with ud = pow_up_down and r its
    spread times a normal. Source: Rasch et al. 2021 (arXiv 2104.02184), there
    `PowStepDevice`.
    """

    name = "pow-step"
    summary = "steps are a power of what is left to the bound"
    source = "Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ShapedStep.defaults,
        "pow_gamma": 1.0,
        "pow_gamma_dtod": 0.1,
        "pow_up_down": 0.0,
        "pow_up_down_dtod": 0.0,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ShapedStep.ranges,
        "pow_gamma": (0.0, 100.0),
        "pow_gamma_dtod": (0.0, 10.0),
        "pow_up_down": (-1.0, 1.0),
        "pow_up_down_dtod": (0.0, 1.0),
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        **ShapedStep.variations,
        "dtod": (*ShapedStep.variations["dtod"], "pow_gamma_dtod"),
        "asymmetry": (*ShapedStep.variations["asymmetry"], "pow_up_down", "pow_up_down_dtod"),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ShapedStep.meanings,
        "dw_min": "step at the far bound; in the middle of the range 0.5^pow_gamma of it",
        "pow_gamma": "mean power γ; 0 is a constant step, 1 a linear one",
        "pow_gamma_dtod": "its spread (fraction of the mean)",
        "pow_up_down": "mean asymmetry of the powers, of which the smaller side's shrinks",
        "pow_up_down_dtod": "its spread from device to device",
    }
    per_device = ("dw_up", "dw_down", "gamma_up", "gamma_down", "w_max", "w_min")

    def _own(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """The powers γ+ and γ- of every device."""
        p, mean = self.parameters, self.parameters["pow_up_down"]
        gain = np.float32(1) + np.float32(p["pow_gamma_dtod"]) * normal()
        own = np.float32(p["pow_up_down_dtod"]) * normal()
        gamma = np.float32(p["pow_gamma"])
        up = np.abs(gamma * (gain + np.float32(min(mean, 0.0)) + own))
        return up, np.abs(gamma * (gain - np.float32(max(mean, 0.0)) - own))

    def _kept(
        self, devices: tuple[FloatArray, ...], own: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, ...]:
        (up, down, w_max, w_min), (gamma_up, gamma_down) = devices, own
        return up, down, gamma_up, gamma_down, w_max, w_min

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray:
        """(w_max + q w_min) / (1 + q), q = (a- / a+)^(1/γ), of equal powers; else by halving.

        nan where steps are equal at no weight.
        """
        up, down, gamma_up, gamma_down, w_max, w_min = fabricated
        if np.array_equal(gamma_up, gamma_down):
            with np.errstate(divide="ignore", invalid="ignore"):
                q = (down / up) ** (1 / gamma_up)
                point = np.where(np.isfinite(q), (w_max + q * w_min) / (1 + q), np.nan)
            return np.asarray(point, np.float32)
        span = np.maximum(w_max - w_min, LEAST_RANGE)

        def net(w: FloatArray) -> Any:
            left, done = np.maximum(w_max - w, 0) / span, np.maximum(w - w_min, 0) / span
            return up * left**gamma_up - down * done**gamma_down

        return cancelling(net, w_min, w_max)

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The same steps between bounds that lie elsewhere."""
        *steps, w_max, w_min = fabricated
        return *steps, w_max - reference, w_min - reference

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        dw_down: float,
        gamma_up: float,
        gamma_down: float,
        w_max: float,
        w_min: float,
        dw_min_std: float,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        up = direction > 0
        left = (w_max - w if up else w - w_min) / max(w_max - w_min, LEAST_RANGE)
        part = power(min(max(left, ZERO), ONE), gamma_up if up else gamma_down)
        dw = direction * (dw_up if up else dw_down) * part
        moved: float = min(max(w + (dw + dw * dw_min_std * noise), w_min), w_max)
        return moved
