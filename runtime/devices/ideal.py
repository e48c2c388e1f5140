"""A device without flaws: every pulse is one step of dw_min, without spread, noise or bounds."""

from __future__ import annotations

from typing import ClassVar

from rpucc.runtime.devices.base import Device, FloatArray
from rpucc.target.values import VARIATIONS


class Ideal(Device):
    """Identical, noiseless, unbounded devices; what remains is the stochasticity of the pulses."""

    name = "ideal"
    summary = "identical steps, no noise, no bounds"
    source = "the floating-point reference; Gokmen & Vlasov 2016"
    defaults: ClassVar[dict[str, float]] = {"dw_min": 0.001}
    ranges: ClassVar[dict[str, tuple[float, float]]] = {"dw_min": (1e-9, 1.0)}
    meanings: ClassVar[dict[str, str]] = {"dw_min": "weight change of one pulse"}
    variations: ClassVar[dict[str, tuple[str, ...]]] = dict.fromkeys(VARIATIONS, ())
    constants = ("dw_min",)

    @property
    def cycle_noise(self) -> bool:
        """No noise from pulse to pulse."""
        return False

    def fabricate(self, normal: object) -> tuple[()]:
        """All devices are the same: nothing is drawn."""
        return ()

    def constant_values(self) -> tuple[float, ...]:
        """The step."""
        return (self.parameters["dw_min"],)

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> None:
        """None: steps do not depend on the weight."""

    @staticmethod
    def step(w: float, direction: float, noise: float, dw_min: float) -> float:  # type: ignore[override]
        """w ± dw_min."""
        return w + direction * dw_min
