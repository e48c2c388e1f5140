"""What happens to a device besides pulses: write noise, random walk, decay, reset and drift.

Keys that every model takes beside its own, all off by default. Source: aihwkit's pulsed devices
(Rasch et al. 2021, arXiv 2104.02184); docs/devices.md has the equations. A model of a user's own
that has a parameter of the same name keeps its own meaning of it. Not for what is done with them:
planes (`rpucc.runtime.plane_rest`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

Key = tuple[float, float, float, str]
"""Default, lowest and highest value, meaning."""

KEYS: dict[str, Key] = {
    "write_noise_std": (
        0.0, 0.0, 1e6, "what reads see of a weight about what pulses move, in units of dw_min",
    ),
    "lifetime": (0.0, 0.0, 1e7, "steps in which a weight decays to 1/e; 0: it does not"),
    "lifetime_dtod": (0.0, 0.0, 10.0, "its spread (fraction of the mean)"),
    "diffusion": (0.0, 0.0, 1e6, "standard deviation of a weight's random walk in a step"),
    "diffusion_dtod": (0.0, 0.0, 10.0, "its spread (fraction of the mean)"),
    "reset": (0.0, -1e6, 1e6, "the weight that devices decay to, and are reset to"),
    "reset_dtod": (0.0, 0.0, 1e6, "its spread, in units of the weight"),
    "reset_std": (0.0, 0.0, 1e6, "noise of each reset, in units of the weight"),
    "nu": (0.0, -10.0, 10.0, "drift exponent ν: weights are multiplied by (t / t_0)^-ν"),
    "nu_dtod": (0.0, 0.0, 10.0, "its spread (fraction of the mean)"),
    "nu_std": (0.0, 0.0, 10.0, "its noise at every drift (fraction of the mean)"),
    "nu_k": (0.0, -10.0, 10.0, "how ν falls with the weight's size: by nu_k ln(|w| / g0)"),
    "g0": (1.0, 1e-9, 1e6, "the weight's size at which ν is nu"),
    "t_0": (1.0, 1e-9, 1e9, "seconds after writing from which on weights drift"),
    "w_noise_std": (0.0, 0.0, 1e6, "noise of the weight at every drift, in its units"),
}  # fmt: skip


@dataclass(frozen=True)
class RestKeys:
    """The values of `KEYS` of one device."""

    write_noise_std: float
    lifetime: float
    lifetime_dtod: float
    diffusion: float
    diffusion_dtod: float
    reset: float
    reset_dtod: float
    reset_std: float
    nu: float
    nu_dtod: float
    nu_std: float
    nu_k: float
    g0: float
    t_0: float
    w_noise_std: float

    @classmethod
    def of(cls, parameters: Mapping[str, Any], own: Mapping[str, Any]) -> Self:
        """Those among a device's parameters; own: the model's own, which are none of these."""
        values = {
            each.name: parameters.get(each.name, KEYS[each.name][0])
            if each.name not in own
            else KEYS[each.name][0]
            for each in fields(cls)
        }
        return cls(**values)

    @property
    def drifts(self) -> bool:
        """Whether weights change where time passes."""
        return bool(self.nu or self.nu_k or self.w_noise_std)

    @property
    def marks(self) -> bool:
        """Whether it has to be known which devices were written."""
        return bool(self.write_noise_std) or self.drifts

    @property
    def rests(self) -> bool:
        """Whether weights change in a step without pulses."""
        return bool(self.lifetime or self.diffusion)

    @property
    def bounded(self) -> bool:
        """Whether each device's bounds are asked for beside its pulses."""
        return self.rests or self.resets or self.drifts

    @property
    def resets(self) -> bool:
        """Whether a reset leads elsewhere than exactly to 0."""
        return bool(self.reset or self.reset_dtod or self.reset_std)
