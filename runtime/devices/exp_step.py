"""The exponential-step device: steps that grow or shrink exponentially with the weight."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.halving import cancelling
from rpucc.runtime.devices.shaped_step import LEAST_RANGE, ONE, TWO, ZERO, ShapedStep
from rpucc.runtime.scalars.powers import exp
from rpucc.target.values import ParameterValue

MOST: Any = np.float32(60)
"""Exponents are cut to it, so that no step is infinite."""
SHAPE: Mapping[str, ParameterValue] = {
    "A_up": 0.00081,
    "A_down": 0.36833,
    "gamma_up": 12.44625,
    "gamma_down": 12.78785,
    "a": 0.244,
    "b": 0.2425,
}


class ExpStep(ShapedStep):
    """Δw+ = a+ max(1 - A+ e^(γ+ z), 0), Δw- = -a- max(1 - A- e^(-γ- z), 0), clipped.

    z = 2 a v / (w_max - w_min) + b at the device's own value v = w + reference, between its own
    bounds; a± as for `ConstantStep`. Noise from pulse to pulse is std (|Δw| + add + slope |v|) ξ.
    Source: Gong et al. 2018 (doi 10.1038/s41467-018-04485-1); Rasch et al. 2021
    (arXiv 2104.02184), there `ExpStepDevice`, whose defaults these are.
    """

    name = "exp-step"
    summary = "steps change exponentially with the weight; noise that may grow with it"
    source = "Gong et al. 2018 (doi 10.1038/s41467-018-04485-1); Rasch et al. 2021"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ShapedStep.defaults,
        **SHAPE,
        "dw_min_std_add": 0.0,
        "dw_min_std_slope": 0.0,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ShapedStep.ranges,
        "A_up": (-1e6, 1e6),
        "A_down": (-1e6, 1e6),
        "gamma_up": (0.0, 1e3),
        "gamma_down": (0.0, 1e3),
        "a": (-1e3, 1e3),
        "b": (-1e3, 1e3),
        "dw_min_std_add": (0.0, 1e3),
        "dw_min_std_slope": (0.0, 1e3),
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        **ShapedStep.variations,
        "ctoc": ("dw_min_std", "dw_min_std_add", "dw_min_std_slope"),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ShapedStep.meanings,
        "dw_min": "step that the exponential takes a part of, or adds to",
        "A_up": "factor of the exponential of up steps; below 0 it adds to them",
        "A_down": "factor of the exponential of down steps",
        "gamma_up": "exponent of up steps",
        "gamma_down": "exponent of down steps",
        "a": "slope of z: from bound to bound it changes by 2 a",
        "b": "z at a device's own value of 0",
        "dw_min_std_add": "pulse noise that does not depend on the step, in units of the weight",
        "dw_min_std_slope": "pulse noise that grows with a device's own value",
    }
    per_device = ("dw_up", "dw_down", "w_max", "w_min", "reference")
    constants = (
        "dw_min_std", "dw_min_std_add", "dw_min_std_slope", *SHAPE,
    )  # fmt: skip

    def constant_values(self) -> tuple[float, ...]:
        """Noise and shape, in the order of `constants`."""
        return tuple(self.parameters[key] for key in self.constants)

    def _kept(
        self, devices: tuple[FloatArray, ...], own: tuple[FloatArray, ...]
    ) -> tuple[FloatArray, ...]:
        return *devices, np.zeros_like(devices[0])

    def symmetry_point(self, fabricated: tuple[FloatArray, ...]) -> FloatArray:
        """Where up and down steps are equal, by halving; nan where they are at no weight."""
        p, one = self.parameters, np.float32(1)
        up, down, w_max, w_min, reference = fabricated
        scale = np.float32(2 * p["a"]) / np.maximum(w_max - w_min, LEAST_RANGE)

        def net(w: FloatArray) -> Any:
            z = scale * (w + reference) + np.float32(p["b"])
            grown = np.exp(np.minimum(np.float32(p["gamma_up"]) * z, MOST))
            shrunk = np.exp(np.minimum(np.float32(-p["gamma_down"]) * z, MOST))
            ups = up * np.maximum(one - np.float32(p["A_up"]) * grown, 0)
            return ups - down * np.maximum(one - np.float32(p["A_down"]) * shrunk, 0)

        return cancelling(net, w_min, w_max)

    def shifted(
        self, fabricated: tuple[FloatArray, ...], reference: FloatArray
    ) -> tuple[FloatArray, ...]:
        """The same devices at a reference that is so much further."""
        up, down, w_max, w_min, before = fabricated
        return up, down, w_max - reference, w_min - reference, before + reference

    @staticmethod
    def step(  # type: ignore[override]
        w: float,
        direction: float,
        noise: float,
        dw_up: float,
        dw_down: float,
        w_max: float,
        w_min: float,
        reference: float,
        dw_min_std: float,
        dw_min_std_add: float,
        dw_min_std_slope: float,
        A_up: float,
        A_down: float,
        gamma_up: float,
        gamma_down: float,
        a: float,
        b: float,
    ) -> float:
        """One pulse of the class's equation, clipped to the device's bounds."""
        v = w + reference
        z = TWO * a * v / max(w_max - w_min, LEAST_RANGE) + b
        up = direction > 0
        grown = exp(min(gamma_up * z if up else -gamma_down * z, MOST))
        dw = (dw_up if up else dw_down) * max(ONE - (A_up if up else A_down) * grown, ZERO)
        dw += dw_min_std * (dw + dw_min_std_add + dw_min_std_slope * abs(v)) * noise
        moved: float = min(max(w + direction * dw, w_min), w_max)
        return moved
