"""The converters of the outputs."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from rpucc.stages.base import Stage
from rpucc.target.keys import OnNode, PerCycle
from rpucc.target.values import Bits

f32 = np.float32


class Adc(Stage):
    """A converter an output line, over [-α, α]."""

    adc_bits: Annotated[Bits, OnNode("Read"), PerCycle()] = 0
    """Output converter over [-α, α]; 0 is none, anything else needs a bound."""

    @staticmethod
    def nearest(y: Any, inverse: Any, step: Any) -> Any:
        """The nearest multiple of step = 1 / inverse to an output within the bound."""
        return np.floor(y * inverse + f32(0.5)) * step
