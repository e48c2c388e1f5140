"""A pair of devices that are only ever pulsed up: W = g+ - g-.

For devices that step one way, such as phase-change memory. A positive move pulses g+, a negative
one g-; where both have come far up, a refresh resets them and writes the difference anew.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from rpucc.cells.base import CELL, COUNT, Cell
from rpucc.cells.bodies import SAMPLES
from rpucc.target.keys import OnNode
from rpucc.target.values import Count, Fraction, choice

VERIFY, OPEN_LOOP = "verify", "open-loop"


class OneSided(Cell):
    """Two devices a weight, of which a move pulses one up."""

    model: ClassVar[str] = "one-sided"
    summary: ClassVar[str] = "the difference of two devices that are only pulsed up, and refreshed"
    planes: ClassVar[tuple[str, ...]] = ("positive", "negative")
    kind: ClassVar[str] = "one-sided"
    op: ClassVar[str] = "OneSidedUpdate"
    pulsed: ClassVar[str] = "positive"
    sides: ClassVar[tuple[str, str] | None] = ("positive", "negative")

    refresh_every: Annotated[Count, OnNode(CELL)] = 0
    """Minibatches from one refresh to the next; 0: none."""
    refresh_upper: Annotated[Fraction, OnNode(CELL)] = 0.75
    """A pair is refreshed where its larger device is above this part of the nominal `w_max` .."""
    refresh_lower: Annotated[Fraction, OnNode(CELL)] = 0.25
    """.. and its smaller one above this part."""
    refresh_writes: Annotated[str, choice(VERIFY, OPEN_LOOP), OnNode(CELL)] = VERIFY
    """How the difference is written: programmed until it is right, or by one pulsed update."""

    @property
    def gains(self) -> dict[str, float]:
        """g+ - g-."""
        return {"positive": 1.0, "negative": -1.0}

    @property
    def state(self) -> tuple[str, ...]:
        """One of the two, as their difference is the weight; and the minibatches so far."""
        return ("negative", COUNT)

    body: ClassVar[str] = (
        SAMPLES
        + """  by_group  = Transpose <perm = [1, 0, 2, 3]> (samples_x)
  errors_t  = Transpose <perm = [1, 3, 0, 2]> (samples_d)
  in_shape  = Concat <axis = 0> (group, any, columns)
  out_shape = Concat <axis = 0> (group, rows, any)
  all_x     = Reshape (by_group, in_shape)
  all_d     = Reshape (errors_t, out_shape)
  gradients = MatMul (all_d, all_x)
  W_shape   = Shape (W)
  gradient  = Reshape (gradients, W_shape)
  step      = Mul (lr, gradient)
  positive  = Add (W, negative)
  down      = Relu (step)
  negated   = Neg (step)
  up        = Relu (negated)
  positive2 = Add (positive, up)
  negative2 = Add (negative, down)
  W2        = Sub (positive2, negative2)
  count2    = Add (count, one)
}
"""
    )
