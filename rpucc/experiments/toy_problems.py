"""The small problems that toys solve on arrays, and their settings.

Each is a table `[problem]`, named by its `toy`. Not for how they are computed: rpucc.runs.toys.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from rpucc.experiments.schema import Above0, Positive, Section

AtLeast0 = Annotated[float, Field(strict=True, ge=0, allow_inf_nan=False)]

Size = Annotated[int, Field(strict=True, ge=1, le=1000)]


class ZeroShiftCost(Section):
    """Up and down pulses in turn bring a device from its upper bound to its symmetry point."""

    toy: Literal["zero-shift-cost"]
    within: Above0 = 0.01
    """How near the symmetry point is near enough, in weight units."""
    measure: Literal["pulses", "floor"] = "pulses"
    """How many pulses that takes, or how far from the point the last pair of many ends."""


class LeastSquares(Section):
    """Minimise |X (w - truth)|² / (2 vectors · columns), all vectors a step, from w = 1."""

    toy: Literal["least-squares"]
    columns: Size = 50
    vectors: Size = 100
    steps: Positive = 3000
    lr: Above0 = 0.8


class ScalarTarget(Section):
    """Minimise (w - b)², w one weight and b uniform in ± 1; the gradient may be noisy."""

    toy: Literal["scalar-target"]
    steps: Positive = 1_000_000
    lr: Above0 = 0.1
    noise: AtLeast0 = 0.0
    """Standard deviation of what is added to the gradient 2 (w - b)."""
    weights: Size = 1
    """So many weights with targets of their own, a row each."""


class MatrixTarget(Section):
    """Bring a matrix W to a target from noiseless products: d = (W - target) x, x normal."""

    toy: Literal["matrix-target"]
    size: Size = 20
    spread: Above0 = 0.3
    """Standard deviation of the target's elements, which are cut at ± 1."""
    inputs: Positive = 60_000
    window: Positive = 3_000
    """The error is a mean over so many inputs at the end."""
    lr: Above0 = 0.1


class ConstantGradient(Section):
    """Gradients that no weight answers: x = -X, d = share · X + (1 - share) · Y, X and Y normal."""

    toy: Literal["constant-gradient"]
    size: Size = 5
    share: Annotated[float, Field(strict=True, ge=0, le=1)] = 0.1
    inputs: Positive = 5_000
    """Over which digital memory's gain is measured, after as many before."""
    lr: Above0 = 0.1
    measure: Literal["diagonal", "others"] = "diagonal"
    """Which elements: the diagonal, where there is a gradient on average, or all others."""


Problem = ZeroShiftCost | LeastSquares | ScalarTarget | MatrixTarget | ConstantGradient

PROBLEMS: dict[str, type[Problem]] = {
    "zero-shift-cost": ZeroShiftCost,
    "least-squares": LeastSquares,
    "scalar-target": ScalarTarget,
    "matrix-target": MatrixTarget,
    "constant-gradient": ConstantGradient,
}
"""What `problem.toy` says -> the keys of the table."""
