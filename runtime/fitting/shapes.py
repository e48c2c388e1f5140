"""Models whose steps follow a curve of the weight: an exponential, a power.

Those of straight lines are in lines.py, those of tables in tables.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpucc.runtime.fitting.curves import Floats
from rpucc.runtime.fitting.lines import STEP, ConstantStep, SoftBounds, steps
from rpucc.runtime.fitting.models import FitModel, Key, Parameter, Sketch

LEAST_BEND, MOST_BEND = 0.05, 50.0
"""Of an exponential's exponent over the range: below, a straight line is one, too."""
FLAT = 0.98
"""What part of a step at weight 0 an exponential that falls off may take away, at most."""
BEND = 1.0
"""Of the exponents that a fit begins with."""


class ExpStep(FitModel):
    """Steps change exponentially with the weight.

    Fitted are the step at weight 0, its slope k there and its bend g, in ranges of a device:
    s (1 - k (e^(g x) - 1) / g), x = w / (w_max - w_min), which is a straight line for g = 0. That
    is a (1 - A e^(γ z)) with A = k / (g + k), a = s (1 + k / g), z = ± x, of one sign for both
    directions.
    """

    name = "exp-step"
    own = ConstantStep.own
    shared = ("slope up", "bend up", "slope down", "bend down")
    keys = (*STEP, Key("A_up"), Key("gamma_up"), Key("A_down"), Key("gamma_down"), Key("a"))
    bounds_prior = 0.03

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """+ s+ (1 - k+ (e^(g+ x) - 1) / g+), - s- (1 - k- (e^(-g- x) - 1) / g-)."""
        x = w / max(p[0] - p[1], 1e-12)
        slope, bend = (p[4], p[5]) if direction > 0 else (p[6], p[7])
        if bend < 0:
            slope = min(slope, -FLAT * bend)
        power = min(bend * (x if direction > 0 else -x), 60.0)
        part = max(1.0 - slope * (math.exp(power) - 1.0) / bend, 0.0)
        return p[2] * part if direction > 0 else -p[3] * part

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """From weight 0 to the bounds as on straight lines at first sight, bent either way."""
        own = ConstantStep.starts(sketches)[0][0]
        ends, lost = np.empty((2, len(own), 2))
        for s, row, end, less in zip(sketches, own, ends, lost, strict=True):
            row[2:] = max(s.up, 0.1 * s.step), max(s.down, 0.1 * s.step)
            end[:] = s.upper / s.width, -s.lower / s.width
            less[:] = -s.up_slope * s.upper / row[2], -s.down_slope * s.lower / row[3]
        less, (up, down) = np.clip(np.median(lost, axis=0), -2.0, 0.9), np.median(ends, axis=0)
        found = []
        for bend in (BEND, -BEND):
            slopes = less * bend / np.expm1(bend * np.array([up, down]))
            found.append((own, np.array([slopes[0], bend, slopes[1], bend])))
        return found

    @classmethod
    def limits(cls, shared: Floats) -> tuple[Floats, Floats]:
        """Bends keep their sign, which is that of the key a."""
        free = [-np.inf, np.inf]
        bend = (LEAST_BEND, MOST_BEND) if shared[1] > 0 else (-MOST_BEND, -LEAST_BEND)
        low, high = np.array([free, bend, free, bend]).T
        return low, high

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step, asymmetry, bounds; factors and exponents."""
        sizes, shape = [], {}
        for way, step, (slope, bend) in zip(
            ("up", "down"), own[2:], np.reshape(shared[:4], (2, 2)), strict=True
        ):
            least = min(slope, -FLAT * bend) if bend < 0 else slope
            sizes.append(step * (1 + least / bend))
            shape[f"A_{way}"] = least / (bend + least)
            shape[f"gamma_{way}"] = abs(bend)
        return {**steps(own[0], own[1], *sizes), **shape, "a": math.copysign(0.5, shared[1])}

    @classmethod
    def keyed(cls, found: list[Parameter]) -> list[Parameter]:
        """z is the weight in ranges of a device, with either sign."""
        return [
            Parameter(each.key, each.value, math.nan) if each.key == "a" else each
            for each in found
            if each.key not in cls.shared
        ] + [Parameter("b", 0.0, math.nan)]


class PowStep(FitModel):
    """Steps are a power of the part of the range that is left; fitted is the one in its middle."""

    name = "pow-step"
    own = ("w_max", "w_min", "dw_up", "dw_down", "gamma_up", "gamma_down")
    keys = (
        *STEP,
        Key("mean power", "its spread", relative=False),
        Key("difference of powers", "its spread, too", relative=False),
    )
    bounds_in_steps = True

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """+ s+ (2 (w_max - w) / range)^γ+, - s- (2 (w - w_min) / range)^γ-."""
        width = max(p[0] - p[1], 1e-12)
        left = min(max((p[0] - w if direction > 0 else w - p[1]) / width, 1e-9), 4.0)
        part = (2.0 * left) ** min(max(p[4] if direction > 0 else p[5], 0.0), 50.0)
        return p[2] * part if direction > 0 else -p[3] * part

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """Powers of 1, which are soft bounds."""
        soft = SoftBounds.starts(sketches)[0][0]
        upper, lower = soft[:, 0], soft[:, 1]
        half = (upper - lower) / 2
        one = np.ones(len(soft))
        own = [upper, lower, soft[:, 2] * half / upper, soft[:, 3] * half / -lower, one, one]
        return [(np.stack(own, axis=1), np.zeros(0))]

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Step at the far bound, asymmetry, bounds; mean and difference of the powers."""
        upper, lower, up, down, gamma_up, gamma_down = own
        return {
            **steps(upper, lower, up * 2.0**gamma_up, down * 2.0**gamma_down),
            "mean power": (gamma_up + gamma_down) / 2,
            "difference of powers": gamma_up - gamma_down,
        }

    @classmethod
    def keyed(cls, found: list[Parameter]) -> list[Parameter]:
        """γ± = γ (1 ± …): the mean is γ (1 - |ud| / 2), the difference γ (ud + 2 r)."""
        by = {each.key: each for each in found}
        mean, spread = by.pop("mean power"), by.pop("its spread")
        apart, own = by.pop("difference of powers"), by.pop("its spread, too")
        gamma = mean.value + abs(apart.value) / 2
        error = math.hypot(mean.error, apart.error / 2)
        return [
            *by.values(),
            Parameter("pow_gamma", gamma, error, mean.note),
            Parameter("pow_gamma_dtod", spread.value / gamma, spread.error / gamma, spread.note),
            Parameter("pow_up_down", apart.value / gamma, apart.error / gamma),
            Parameter("pow_up_down_dtod", own.value / gamma / 2, own.error / gamma / 2, own.note),
        ]
