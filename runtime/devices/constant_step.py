"""The constant-step device of the RPU-baseline model: steps do not depend on the weight."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.devices import sampling
from rpucc.runtime.devices.base import Device, FloatArray
from rpucc.runtime.devices.sampling import FLOOR, SUBTRACT
from rpucc.target.values import ParameterValue

__all__ = ["FLOOR", "ConstantStep"]


class ConstantStep(Device):
    """Δw± = ±dw_min (1 ± β)(1 + dtod ζ)(1 + std ξ), clipped to the device's own bounds.

    β ~ N(up_down, up_down_dtod) is the up/down asymmetry of a device, ζ its spread, ξ new for
    every pulse. The up/down ratio is (1 + β) / (1 - β): a spread of 1 % in β is one of 2 % in it.
    Steps and bounds are floored at 1 % of their means. Source: Gokmen & Vlasov 2016, Table 1.
    Other conventions, stuck devices and references: `sampling.py`, as for all models of this
    family, which give what they draw (`_own`) and what is kept of a device (`_kept`).
    """

    name = "constant-step"
    summary = "steps independent of the weight; spread, asymmetry, pulse noise, bounds"
    source = "Gokmen & Vlasov 2016 (arXiv 1603.07341); Gokmen, Onen & Haensch 2017, Table 1"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        "dw_min": 0.001,
        "dw_min_dtod": 0.3,
        "dw_min_std": 0.3,
        "up_down": 0.0,
        "up_down_dtod": 0.01,
        "w_max": 0.6,
        "w_max_dtod": 0.3,
        "w_min": -0.6,
        "w_min_dtod": 0.3,
        **sampling.DEFAULTS,
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
        **sampling.RANGES,
    }
    choices: ClassVar[dict[str, tuple[str, ...]]] = dict(sampling.CHOICES)
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
        **sampling.MEANINGS,
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        "dtod": ("dw_min_dtod", "corrupt_devices_prob", "reference_std"),
        "ctoc": ("dw_min_std",),
        "asymmetry": ("up_down", "up_down_dtod"),
        "bounds": ("w_max_dtod", "w_min_dtod"),
    }
    further: ClassVar[tuple[str, ...]] = ("corrupt_devices_prob", "reference_std")
    """Parameters that need draws after those of every device, where any of them is not 0."""

    per_device: ClassVar[tuple[str, ...]] = ("dw_up", "dw_down", "w_max", "w_min")
    constants: ClassVar[tuple[str, ...]] = ("dw_min_std",)
    packed = True

    counted = True

    def __init__(self, **parameters: ParameterValue) -> None:
        super().__init__(**parameters)
        if self._draws_further or self.parameters["reference_mean"]:
            self.counted = False  # 0 may lie beyond the bounds of a device

    @property
    def cycle_noise(self) -> bool:
        """Whether pulses differ from each other at all."""
        return bool(self.parameters["dw_min_std"] > 0)

    def fabricate(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """The parameters of every device, where weights count from its reference."""
        devices, error, stuck = sampling.drawn(self.parameters, normal), None, None
        own = self._own(normal)
        if self._draws_further:
            error, stuck, place = sampling.further(self.parameters, normal)
            devices = sampling.with_stuck(self.parameters, devices, stuck, place)
            devices = self._varied(devices, normal)
        return self._referred(self._kept(devices, own), error, stuck)

    @property
    def _draws_further(self) -> bool:
        return any(self.parameters[key] > 0 for key in self.further)

    def _own(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        """What a model draws of each device besides steps and bounds."""
        return ()

    def _varied(
        self, devices: tuple[FloatArray, ...], normal: Callable[[], FloatArray]
    ) -> tuple[FloatArray, ...]:
        """The same steps and bounds with further spreads of a model's own."""
        return devices

    def _kept(
        self, devices: tuple[FloatArray, ...], own: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, ...]:
        """The parameters `per_device` of devices with these steps and bounds, reference 0."""
        return devices

    def _referred(
        self,
        kept: tuple[FloatArray, ...],
        error: FloatArray | None,
        stuck: NDArray[np.bool_] | None,
    ) -> tuple[FloatArray, ...]:
        """The same devices as they look from their references."""
        p, subtracted = self.parameters, bool(self.parameters.get(SUBTRACT, False))
        if error is None and not p["reference_mean"] and not subtracted:
            return kept
        reference: Any = np.float32(p["reference_mean"]) + (
            np.float32(0) if error is None else error
        )
        if subtracted:
            point = self.symmetry_point(kept)
            assert point is not None  # models that have none do not take the key
            there = np.isfinite(point) if stuck is None else np.isfinite(point) & ~stuck
            reference = reference + np.where(there, point, np.float32(0))
        return self.shifted(kept, np.broadcast_to(reference, kept[0].shape))

    def constant_values(self) -> tuple[float, ...]:
        """The noise from pulse to pulse."""
        return (self.parameters["dw_min_std"],)

    def weight_range(self, fabricated: tuple[FloatArray, ...]) -> tuple[FloatArray, FloatArray]:
        """Each device's own bounds."""
        places = (self.per_device.index(name) for name in ("w_min", "w_max"))
        low, high = (fabricated[place] for place in places)
        return low, high

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray | None:
        """None: steps do not depend on the weight."""
        return None

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The same steps between bounds that lie elsewhere."""
        up, down, w_max, w_min = fabricated
        return up, down, w_max - reference, w_min - reference

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
