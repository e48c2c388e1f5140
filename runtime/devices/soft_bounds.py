"""The soft-bounds device: a linear step that vanishes at the bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.devices.linear_step import MEANINGS, OF_NOISE, LinearStep
from rpucc.target.values import ParameterValue

SLOPES = ("slope_up_dtod", "slope_down_dtod")


class SoftBounds(LinearStep):
    """Δw+ = a+ (1 - w / w_max)(1 + std ξ), Δw- = -a- (1 - w / w_min)(1 + std ξ).

    The linear step with γ = 1 for every device. Up and down steps cancel at the symmetry point
    w* = (a+ - a-) / (a+ / w_max - a- / w_min), which pulses of both directions in turn lead to.
    Source: physics.md section 4; Fusi & Abbott 2007 (doi 10.1038/nn1859); Rasch et al. 2021.
    With references, `SoftBoundsReferenceDevice` of Rasch et al. 2023 (arXiv 2303.04721).
    """

    name = "soft-bounds"
    summary = "steps shrink to nothing at the bounds; a symmetry point each; all spreads"
    source = "Fusi & Abbott 2007 (doi 10.1038/nn1859); Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ConstantStep.defaults,
        **dict.fromkeys(SLOPES, 0.0),
        **OF_NOISE,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ConstantStep.ranges,
        **dict.fromkeys(SLOPES, (0.0, 10.0)),
    }
    variations: ClassVar[dict[str, tuple[str, ...]]] = {
        **ConstantStep.variations,
        "bounds": (*ConstantStep.variations["bounds"], *SLOPES),
    }
    meanings: ClassVar[dict[str, str]] = {
        **ConstantStep.meanings,
        **MEANINGS,
        "slope_up_dtod": "spread of the slope of up steps; w_max is divided by its magnitude",
        "slope_down_dtod": "spread of the slope of down steps; w_min is divided by its magnitude",
    }
    further = (*ConstantStep.further, *SLOPES)

    def _own(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
        one = np.asarray(1, np.float32)
        return one, one

    def _varied(
        self, devices: tuple[FloatArray, ...], normal: Callable[[], FloatArray]
    ) -> tuple[FloatArray, ...]:
        """The bounds of devices that have two, divided by the magnitude of 1 + dtod ζ."""
        up, down, w_max, w_min = devices
        slopes = (np.float32(1) + np.float32(self.parameters[key]) * normal() for key in SLOPES)
        by_up, by_down = (np.maximum(np.abs(slope), np.float32(1e-6)) for slope in slopes)
        two = (w_max > 0) & (w_min < 0)
        return up, down, np.where(two, w_max / by_up, w_max), np.where(two, w_min / by_down, w_min)
