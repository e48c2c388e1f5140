"""The soft-bounds device: a linear step that vanishes at the bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np

from rpucc.runtime.devices.base import FloatArray
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.runtime.devices.linear_step import LinearStep


class SoftBounds(LinearStep):
    """Δw+ = a+ (1 - w / w_max)(1 + std ξ), Δw- = -a- (1 - w / w_min)(1 + std ξ).

    The linear step with γ = 1 for every device. Up and down steps cancel at the symmetry point
    w* = (a+ - a-) / (a+ / w_max - a- / w_min), which pulses of both directions in turn lead to.
    Source: physics.md section 4; Fusi & Abbott 2007 (doi 10.1038/nn1859); Rasch et al. 2021.
    """

    name = "soft-bounds"
    summary = "steps shrink to nothing at the bounds; a symmetry point each; all spreads"
    source = "Fusi & Abbott 2007 (doi 10.1038/nn1859); Rasch et al. 2021 (arXiv 2104.02184)"
    defaults: ClassVar[dict[str, float]] = ConstantStep.defaults
    ranges: ClassVar[dict[str, tuple[float, float]]] = ConstantStep.ranges
    variations: ClassVar[dict[str, tuple[str, ...]]] = ConstantStep.variations
    meanings: ClassVar[dict[str, str]] = {
        **ConstantStep.meanings,
        "dw_min": LinearStep.meanings["dw_min"],
    }

    def _gammas(self, normal: Callable[[], FloatArray]) -> tuple[FloatArray, FloatArray]:
        one = np.asarray(1, np.float32)
        return one, one
