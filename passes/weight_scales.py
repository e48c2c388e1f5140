"""How much larger a layer's weights are than its devices can hold: a factor an output line.

What `equalise` and `scale_weights` share. Not for what is done about it: those passes do that.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.constant_weights import INITIAL_WEIGHTS

if TYPE_CHECKING:
    from rpucc.target.target import LayerPolicy

WeightBounds: TypeAlias = "Callable[[LayerPolicy], tuple[float, float]]"
"""The mean lowest and highest weight of a layer's devices; infinite where they have no bounds."""

ROUNDING = 1e-6
"""How far, relatively, a weight that was divided by its scale may pass the bound: float32."""


def unbounded(policy: LayerPolicy) -> tuple[float, float]:
    """Devices that hold every weight."""
    return -math.inf, math.inf


@dataclass(frozen=True)
class Scaling:
    """What weights of a layer are scaled to."""

    low: float
    high: float
    always: bool
    """Also where they fit, so that the largest of a line (or layer) reaches the bounds."""
    together: bool
    """One factor for all lines of the layer."""

    @classmethod
    def of(cls, policy: LayerPolicy, bounds: WeightBounds, model: ir.Model) -> Scaling | None:
        """Return the scaling of a layer of `model`; None where it is off or nothing to scale to."""
        mode = policy.mapping.weight_scaling
        if mode == "auto" and INITIAL_WEIGHTS in model.metadata_props:
            return None
        together = policy.mapping.weight_scaling_per == "layer"
        if isinstance(mode, float | int):
            return cls(-float(mode), float(mode), always=True, together=together)
        low, high = bounds(policy)
        scalable = low < 0 < high and (math.isfinite(low) or math.isfinite(high))
        return cls(low, high, False, together) if mode == "auto" and scalable else None

    def factors(self, lines: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return [R]: what to divide each line of weights [R, C] by, 1 where that changes nothing.

        Infinite weights (masks) do not count; lines of zeros have no size.
        """
        w = np.asarray(lines, np.float64)
        w = np.where(np.isfinite(w), w, 0.0)
        size = np.maximum(
            w.max(axis=1, initial=0.0) / self.high, w.min(axis=1, initial=0) / self.low
        )
        if self.together:
            size = np.full_like(size, size.max(initial=0.0))
        if not self.always:
            fits = size <= 1 + ROUNDING
            return np.where(fits, 1.0, size)
        return np.where(size > 0, size, 1.0)


def beyond(lines: NDArray[np.floating], bounds: tuple[float, float]) -> int:
    """Count the weights that lie beyond bounds (lowest, highest)."""
    low, high = (end * (1 + ROUNDING) for end in bounds)
    return int(np.count_nonzero((lines < low) | (lines > high)))
