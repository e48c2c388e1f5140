"""The bound of the outputs."""

from __future__ import annotations

from typing import Annotated, Any

from rpucc.stages.base import Stage
from rpucc.target.keys import OnNode, PerCycle
from rpucc.target.values import Bound


class SignalBound(Stage):
    """An integrator an output line, which saturates."""

    bound: Annotated[Bound, OnNode("Read"), PerCycle()] = 0.0
    """Signal bound α at which the integrators saturate; 0 is unbounded."""

    @staticmethod
    def clipped(y: Any, bound: Any) -> Any:
        """What the integrator holds of an output."""
        return min(max(y, -bound), bound)
