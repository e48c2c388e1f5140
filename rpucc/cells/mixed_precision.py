"""Mixed precision: gradients add up in digital memory, and whole steps of them go to the devices.

Nandakumar et al. 2020 (doi 10.3389/fnins.2020.00406). With ε the granularity of the devices:

    each minibatch:         χ += lr d xᵀ, summed over its vectors
    every so many of them:  n = trunc(χ / ε),  χ -= n ε,  W gets -n pulses

χ is what W still has to lose. It is charged for what was sent alone, also where pulses are cut.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

from rpucc.cells.base import CELL, COUNT, Cell
from rpucc.cells.bodies import SAMPLES
from rpucc.target.keys import OnNode
from rpucc.target.values import Allowed, integer, is_number

MOST_BINS = 65536


def _is_bins(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 0 <= value <= MOST_BINS and value % 2 == 0  # type: ignore[operator]


Bins = Annotated[int, Allowed(f"0 or an even integer from 2 to {MOST_BINS}", _is_bins)]
Granularity = Annotated[
    float, Allowed("0 or a number from 1e-9 to 1", lambda v: v == 0 or is_number(v, 1e-9, 1))
]


class MixedPrecision(Cell):
    """One device a weight, and a digital sum of gradients that whole steps are taken off."""

    model: ClassVar[str] = "mixed-precision"
    summary: ClassVar[str] = "gradients add up digitally; whole steps of them are pulsed"
    source: ClassVar[str] = "Nandakumar et al. 2020, doi 10.3389/fnins.2020.00406"
    planes: ClassVar[tuple[str, ...]] = ("weight",)
    kind: ClassVar[str] = "accumulated"
    op: ClassVar[str] = "MixedPrecisionUpdate"
    pulsed: ClassVar[str] = ""
    buffers: ClassVar[tuple[str, ...]] = ("chi",)
    steps: ClassVar[Mapping[str, str]] = {"slow_step": "weight"}

    transfer_every: Annotated[int, integer(1, 1_000_000_000), OnNode(CELL)] = 1
    """How many minibatches come between transfers of whole steps to the devices."""
    transfer_rows: Annotated[int, integer(0, 65536), OnNode(CELL)] = 0
    """Rows of each tile that a transfer takes, in turn; 0: all of them."""
    transfer_bl: Annotated[int, integer(0, 65535), OnNode(CELL)] = 0
    """Pulses that a device may get in a transfer, the rest stays in the sum; 0: all of them."""
    granularity: Annotated[Granularity, OnNode(CELL)] = 0.0
    """ε, how much of the sum makes a pulse; 0: what a pulse of the devices does on average."""
    n_x_bins: Annotated[Bins, OnNode(CELL)] = 0
    """Bins over ±max|x| that inputs are rounded to by chance before that; 0: none."""
    n_d_bins: Annotated[Bins, OnNode(CELL)] = 0
    """Bins over ±max|d| that errors are rounded to by chance; 0: none."""

    @property
    def state(self) -> tuple[str, ...]:
        """The sum, and the minibatches so far."""
        return ("chi", COUNT)

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
  total     = Add (chi, step)

  every     = Constant <value_int: int = @transfer_every> ()
  count2    = Add (count, one)
  rest      = Mod (count2, every)
  due       = Equal (rest, zero)
  periods   = Div (count2, every)
  event     = Sub (periods, one)
  at_once   = Constant <value_int: int = @transfer_rows> ()
  is_whole  = Equal (at_once, zero)
  cut       = Constant <value_ints: ints = @row_cuts> ()
  starts    = Slice (cut, first, any)
  ends      = Slice (cut, second, end)
  heights   = Sub (ends, starts)
  R         = Squeeze (all_rows, first)
  each_rows = Squeeze (rows, first)
  number    = Range (zero, R, one)
  row       = Mod (number, each_rows)
  row_c     = Unsqueeze (row, one)
  passed    = GreaterOrEqual (row_c, ends)
  passed_n  = Cast <to = 7> (passed)
  block     = ReduceSum <keepdims = 0> (passed_n, any)
  start     = Gather (starts, block)
  height    = Gather (heights, block)
  taken     = Where (is_whole, height, at_once)
  place     = Sub (row, start)
  cursor    = Mul (event, taken)
  ahead     = Sub (place, cursor)
  turn      = Mod (ahead, height)
  in_turn   = Less (turn, taken)
  here      = And (in_turn, due)
  here_c    = Unsqueeze (here, one)
  sent_now  = CastLike (here_c, W)

  chosen    = Constant <value_float: float = @granularity> ()
  of_device = Constant <value_float: float = @slow_step> ()
  nothing   = Constant <value_float = 0.0> ()
  is_chosen = Greater (chosen, nothing)
  epsilon_f = Where (is_chosen, chosen, of_device)
  epsilon   = CastLike (epsilon_f, W)
  most      = Constant <value_int: int = @transfer_bl> ()
  is_cut    = Greater (most, zero)
  most_f    = Cast <to = 1> (most)
  endless   = Constant <value_float = 3.4028234663852886e38> ()
  limit_f   = Where (is_cut, most_f, endless)
  limit     = CastLike (limit_f, W)
  ratio     = Div (total, epsilon)
  size      = Abs (ratio)
  whole     = Floor (size)
  within    = Min (whole, limit)
  sign      = Sign (ratio)
  pulses    = Mul (sign, within)
  sent      = Mul (pulses, sent_now)
  moved     = Mul (sent, epsilon)
  chi2      = Sub (total, moved)
  W2        = Sub (W, moved)
}
"""
    )
