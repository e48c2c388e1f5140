"""Models whose steps lie on a straight line each way: constant, linear, soft bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpucc.runtime.fitting.curves import Floats
from rpucc.runtime.fitting.models import FitModel, Key, Sketch

STEP = (
    Key("dw_min", "dw_min_dtod"),
    Key("up_down", "up_down_dtod", relative=False),
    Key("w_max", "w_max_dtod"),
    Key("w_min", "w_min_dtod"),
)
"""What all models have: a step, its asymmetry, two bounds."""


def steps(upper: float, lower: float, up: float, down: float) -> dict[str, float]:
    """Step, asymmetry and bounds as the devices of rpucc have them: a± = dw_min (1 ± β)."""
    both = up + down
    asymmetry = (up - down) / both if both else 0.0
    return {"dw_min": both / 2, "up_down": asymmetry, "w_max": upper, "w_min": lower}


class ConstantStep(FitModel):
    """Steps that do not depend on the weight, up to the bounds."""

    name = "constant-step"
    own = ("w_max", "w_min", "dw_up", "dw_down")
    keys = STEP

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """± a±."""
        return p[2] if direction > 0 else -p[3]

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """The steps in the middle of the range."""
        own = []
        for s in sketches:
            middle = (s.upper + s.lower) / 2
            own.append([s.upper, s.lower, s.up + s.up_slope * middle,
                        s.down + s.down_slope * middle])  # fmt: skip
        return [(np.array(own), np.zeros(0))]

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step, asymmetry, bounds."""
        return steps(own[0], own[1], own[2], own[3])


class LinearStep(FitModel):
    """Steps on a straight line each way, up to the bounds."""

    name = "linear-step"
    own = ("w_max", "w_min", "dw_up", "slope_up", "dw_down", "slope_down")
    keys = (*STEP, Key("gamma_up", "gamma_up_dtod"), Key("gamma_down", "gamma_down_dtod"))

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """+ (a+ + slope+ w), - (a- + slope- w)."""
        return p[2] + p[3] * w if direction > 0 else -(p[4] + p[5] * w)

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """As seen at first sight, and as soft bounds."""
        own = [[s.upper, s.lower, s.up, s.up_slope, s.down, s.down_slope] for s in sketches]
        soft = [
            [s.upper, s.lower, up, -up / upper, down, -down / lower]
            for s, (upper, lower, up, down) in zip(
                sketches, SoftBounds.starts(sketches)[0][0], strict=True
            )
        ]
        return [(np.array(each), np.zeros(0)) for each in (own, soft)]

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step, asymmetry, bounds, and γ: by what part steps shrink from weight 0 to a bound."""
        upper, lower, up, up_slope, down, down_slope = own
        gammas = {"gamma_up": -up_slope * upper / up, "gamma_down": -down_slope * lower / down}
        return {**steps(upper, lower, up, down), **gammas}


class SoftBounds(FitModel):
    """Steps on a straight line each way that vanish at the bounds."""

    name = "soft-bounds"
    own = ConstantStep.own
    keys = STEP
    bounds_in_steps = True

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """+ a+ (1 - w / w_max), - a- (1 - w / w_min)."""
        return p[2] * (1.0 - w / p[0]) if direction > 0 else -p[3] * (1.0 - w / p[1])

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """The bounds where the lines at first sight end, not far from the range."""
        own = []
        for s in sketches:
            near, far = 0.02 * s.width, s.width
            upper = -s.up / s.up_slope if s.up_slope < 0 else math.inf
            lower = -s.down / s.down_slope if s.down_slope > 0 else -math.inf
            upper = min(max(upper, s.upper - near), s.upper + far)
            lower = max(min(lower, s.lower + near), s.lower - far)
            own.append([upper, lower, abs(s.up) or s.step, abs(s.down) or s.step])
        return [(np.array(own), np.zeros(0))]

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step, asymmetry, bounds."""
        return steps(own[0], own[1], own[2], own[3])
