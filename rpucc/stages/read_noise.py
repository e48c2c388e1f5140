"""The noise of the outputs."""

from __future__ import annotations

from typing import Annotated, Any

from rpucc.stages.base import Stage
from rpucc.target.keys import OnNode, PerCycle
from rpucc.target.values import Sigma


class ReadNoise(Stage):
    """Normal noise on every output of every read."""

    read_noise: Annotated[Sigma, OnNode("Read", "noise"), PerCycle()] = 0.0
    """Standard deviation σ of the noise on every output of a read, in units of the output."""

    @staticmethod
    def noisy(y: Any, normal: Any, sigma: Any) -> Any:
        """The output with its noise; normal: drawn from a standard normal distribution."""
        return y + sigma * normal
