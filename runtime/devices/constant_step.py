"""The constant-step device of the RPU-baseline model: steps do not depend on the weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from rpucc.runtime.devices.base import Device, FloatArray

# A spread may not push a step or a bound through zero: both are kept above this fraction of
# their mean (3.3 standard deviations at the baseline's 30 %).
FLOOR = 0.01


class ConstantStep(Device):
    """Δw± = ±dw_min (1 ± β)(1 + dtod ζ)(1 + std ξ), clipped to the device's own bounds.

    β ~ N(up_down, up_down_dtod) is the up/down asymmetry of a device, ζ its spread, ξ new for
    every pulse. The up/down ratio is (1 + β) / (1 - β): a spread of 1 % in β is one of 2 % in it.
    Steps and bounds are floored at 1 % of their means. Source: Gokmen & Vlasov 2016, Table 1.
    """

    name = "constant-step"
    summary = "steps independent of the weight; spread, asymmetry, pulse noise, bounds"
    source = "Gokmen & Vlasov 2016 (arXiv 1603.07341); Gokmen, Onen & Haensch 2017, Table 1"
    defaults: ClassVar[dict[str, float]] = {
        "dw_min": 0.001,
        "dw_min_dtod": 0.3,
        "dw_min_std": 0.3,
        "up_down": 0.0,
        "up_down_dtod": 0.01,
        "w_max": 0.6,
        "w_max_dtod": 0.3,
        "w_min": -0.6,
        "w_min_dtod": 0.3,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        "dw_min": (1e-9, 1.0),
        "dw_min_dtod": (0.0, 10.0),
        "dw_min_std": (0.0, 10.0),
        "up_down": (-1.0, 1.0),
        "up_down_dtod": (0.0, 1.0),
        "w_max": (1e-6, 1e6),
        "w_max_dtod": (0.0, 10.0),
        "w_min": (-1e6, -1e-6),
        "w_min_dtod": (0.0, 10.0),
    }
    meanings: ClassVar[dict[str, str]] = {
        "dw_min": "mean weight change of one pulse",
        "dw_min_dtod": "its spread from device to device (fraction of the mean)",
        "dw_min_std": "its noise from pulse to pulse (fraction of the device's step)",
        "up_down": "mean asymmetry β; up steps are (1 + β), down steps (1 - β) times the step",
        "up_down_dtod": "spread of β from device to device",
        "w_max": "mean upper weight bound",
        "w_max_dtod": "its spread (fraction of the mean)",
        "w_min": "mean lower weight bound",
        "w_min_dtod": "its spread (fraction of the mean)",
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        "dtod": ("dw_min_dtod",),
        "ctoc": ("dw_min_std",),
        "asymmetry": ("up_down", "up_down_dtod"),
        "bounds": ("w_max_dtod", "w_min_dtod"),
    }
    per_device: ClassVar[tuple[str, ...]] = ("dw_up", "dw_down", "w_max", "w_min")
    constants = ("dw_min_std",)
    packed = True
    counted = True

    @property
    def cycle_noise(self) -> bool:
        """Whether pulses differ from each other at all."""
        return bool(self.parameters["dw_min_std"] > 0)

    def fabricate(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """Up step, down step (both positive), upper and lower bound of every device."""
        p = self.parameters
        one, floor = np.float32(1), np.float32(FLOOR)
        step = np.maximum(one + np.float32(p["dw_min_dtod"]) * normal(), floor)
        beta = np.float32(p["up_down"]) + np.float32(p["up_down_dtod"]) * normal()
        up = np.float32(p["dw_min"]) * step * np.maximum(one + beta, floor)
        down = np.float32(p["dw_min"]) * step * np.maximum(one - beta, floor)
        spread_max = np.maximum(one + np.float32(p["w_max_dtod"]) * normal(), floor)
        spread_min = np.maximum(one + np.float32(p["w_min_dtod"]) * normal(), floor)
        w_max = np.float32(p["w_max"]) * spread_max
        w_min = np.float32(p["w_min"]) * spread_min
        return up, down, w_max, w_min

    def constant_values(self) -> tuple[float, ...]:
        """The noise from pulse to pulse."""
        return (self.parameters["dw_min_std"],)

    def weight_range(self, fabricated: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """Each device's own bounds."""
        return fabricated[3], fabricated[2]

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray | None:
        """None: steps do not depend on the weight."""
        return None

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        dw_down: float,
        w_max: float,
        w_min: float,
        dw_min_std: float,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        dw = direction * (dw_up if direction > 0 else dw_down)
        return min(max(w + (dw + dw * dw_min_std * noise), w_min), w_max)
