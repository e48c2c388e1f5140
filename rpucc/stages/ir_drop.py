"""What the resistance of the wires takes from the outputs of a tile.

The closed form that aihwkit has (Rasch et al. 2021, arXiv 2104.02184). The devices of an output
load its line in proportion to the sum of |w x|, and inputs count the less the farther they are
from the end where the line is read:

    a = n r Σ_j |w_j x_j|,   y -= ir_drop · a (0.05 a² - 0.2 a + 0.5) Σ_j w_j x_j (1 - (1 - j/n)²)
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from rpucc.stages.base import ProductStage
from rpucc.target.keys import OnNode, PerCycle
from rpucc.target.values import Allowed, is_number

f32 = np.float32

SEGMENT = f32(0.35 * 5e-6)
"""r: the wire from a device to the next has 0.35 Ω, and a weight of 1 is a conductance of 5 µS."""


class IrDrop(ProductStage):
    """The voltage that is lost along the output lines."""

    ir_drop: Annotated[
        float,
        Allowed("a number from 0 to 1e6", lambda v: is_number(v, 0, 1e6)),
        OnNode("Read"),
        PerCycle(),
    ] = 0.0
    """What the wires of a tile take from its outputs, as a multiple of what wires of 0.35 Ω between
    neighbouring devices take where a weight of 1 is 5 µS; 0 is none."""

    @staticmethod
    def crosspoint(w: Any, x: Any, j: Any, n: Any) -> tuple[Any, ...]:
        """The load, and the current by what share of it the wires can take."""
        current, to_end = w * x, f32(1) - j / n
        return abs(current), current * (f32(1) - to_end * to_end)

    @staticmethod
    def output(y: Any, load: Any, far: Any, n: Any, ir_drop: Any) -> Any:
        """The output less what the wires take of it."""
        a = n * SEGMENT * load
        return y - ir_drop * a * ((f32(0.05) * a - f32(0.2)) * a + f32(0.5)) * far
