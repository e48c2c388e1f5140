"""The converters of the inputs."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from rpucc.stages.base import Stage
from rpucc.target.keys import OnNode, PerCycle
from rpucc.target.values import Bits, Flag

f32 = np.float32


class Dac(Stage):
    """A converter an input line, over [-1, 1]."""

    dac_bits: Annotated[Bits, OnNode("Read"), PerCycle()] = 0
    """Input converter over [-1, 1]; 0 is none."""
    dac_stochastic: Annotated[Flag, OnNode("Read", where=lambda p: p.dac_bits)] = False
    """The DACs of both cycles round by chance, up with the fraction of a step as its probability,
    so that the mean stays; false: to the nearest."""

    @staticmethod
    def nearest(x: Any, levels: Any, step: Any) -> Any:
        """The nearest level to an input, a multiple of step = 1 / levels."""
        return np.floor(min(max(x, f32(-1)), f32(1)) * levels + f32(0.5)) * step

    @staticmethod
    def by_chance(x: Any, levels: Any, step: Any, uniform: Any) -> Any:
        """The level above with the probability of what x is above the one below.

        uniform: a number drawn from [0, 1).
        """
        v = min(max(x, f32(-1)), f32(1)) * levels
        below = np.floor(v)
        return (below + (f32(1) if uniform < v - below else f32(0))) * step
