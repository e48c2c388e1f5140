"""Stages behind the product for tests: linear in the weights, so that a plain read checks them."""

from __future__ import annotations

from typing import Annotated, Any

from rpucc.stages import ProductStage
from rpucc.target.keys import OnNode
from rpucc.target.values import Fraction


class Gain(ProductStage):
    """Every output by a factor: no sums, one key."""

    gain: Annotated[Fraction, OnNode("Read")] = 1.0

    @staticmethod
    def output(y: Any, n: Any, gain: Any) -> Any:
        return y * gain


class Fading(ProductStage):
    """Later inputs count less, and all of them: two sums, two keys."""

    slope: Annotated[Fraction, OnNode("Read")] = 0.0
    share: Annotated[Fraction, OnNode("Read")] = 0.0

    @staticmethod
    def crosspoint(w: Any, x: Any, j: Any, n: Any) -> tuple[Any, ...]:
        return w * x * j / n, w * x

    @staticmethod
    def output(y: Any, late: Any, whole: Any, n: Any, slope: Any, share: Any) -> Any:
        return y - slope * late - share * whole
