"""What devices have in common whose steps depend on the weight by a shape of the model's own."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rpucc.runtime.devices import sampling
from rpucc.runtime.devices.constant_step import ConstantStep
from rpucc.target.values import ParameterValue

ZERO: Any = np.float32(0)
ONE: Any = np.float32(1)
TWO: Any = np.float32(2)
"""What `step` compares and adds with: a literal number would be a double."""
LEAST_RANGE: Any = np.float32(1e-6)
"""What the range from bound to bound of a device that is stuck is taken as."""


class ShapedStep(ConstantStep):
    """Steps and bounds drawn as for `ConstantStep`, times a shape; no model by itself."""

    name = "shaped-step"
    defaults: ClassVar[dict[str, ParameterValue]] = {
        **ConstantStep.defaults,
        sampling.SUBTRACT: False,
    }
    ranges: ClassVar[dict[str, tuple[float, float]]] = {
        **ConstantStep.ranges,
        "w_min": (-1e6, 0.0),  # 0 for one of a pair that is only pulsed up
    }
    meanings: ClassVar[dict[str, str]] = {
        **ConstantStep.meanings,
        sampling.SUBTRACT: sampling.SUBTRACT_MEANING,
    }
    counted = False

    @property
    def granularity(self) -> float:
        """The mean of an up and a down step at weight 0; with no weights below, `up_granularity`.

        A device that has none is one of a pair and is only pulsed up.
        """
        if self.parameters["w_min"] == 0:
            return self.up_granularity
        return sum(self.mean_steps(0.0)) / 2 or self.dw_min
