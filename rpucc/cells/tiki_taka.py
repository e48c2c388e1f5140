"""Tiki-Taka, version 1: a fast array takes the gradients and hands them on to a slow one.

Gokmen & Haensch 2020 (doi 10.3389/fnins.2020.00103). Each pair of vectors:

    U(A, x, d, lr_A)                                        lr_A = fast_lr · lr
    every so often:  v = read(A, k),  U(W, u_k, -v, lr_T),  k = k + 1       lr_T = transfer_lr · lr

A has to count from its devices' symmetry points, so that what no further gradients confirm decays
there. With gamma above 0 reads see W + gamma A: residual learning (`residual.py`).
"""

from __future__ import annotations

from typing import ClassVar

from rpucc.cells.bodies import EVENT, GRADIENT, TURNS, VECTORS
from rpucc.cells.transferred import Transferred


class TikiTaka(Transferred):
    """Two devices a weight: pulses of x and d go to the fast one, columns of it to the slow one."""

    model: ClassVar[str] = "tiki-taka"
    summary: ClassVar[str] = "a fast array learns, and goes over to a slow one column by column"
    source: ClassVar[str] = "Gokmen & Haensch 2020, doi 10.3389/fnins.2020.00103"
    op: ClassVar[str] = "TikiTakaUpdate"

    @staticmethod
    def transfer(value: float, rate: float, dw_min: float) -> float:
        """How many pulses the slow device should get for what was read off the fast one.

        Any number: it is their mean, in `transfer_bl` slots at most.
        """
        return rate * value / dw_min

    body: ClassVar[str] = (
        VECTORS
        + """  A         = Reshape (fast, by_group)

  gamma     = Constant <value_float: float = @gamma> ()
  share     = CastLike (gamma, W)
  seen      = Mul (share, A)
  slow      = Sub (weights, seen)
  fast_lr   = Constant <value_float: float = @fast_lr> ()
  slow_lr   = Constant <value_float: float = @transfer_lr> ()
  fast_k    = CastLike (fast_lr, W)
  slow_k    = CastLike (slow_lr, W)
  fast_rate = Mul (lr, fast_k)
  slow_rate = Mul (lr, slow_k)
  every     = Constant <value_int: int = @transfer_every> ()
  reads     = Constant <value_int: int = @transfer_columns> ()
  reset     = Constant <value_int: int = @reset_fast> ()
  emptied   = CastLike (reset, W)
  by_batch  = Constant <value_int: int = @transfer_by_minibatch> ()

"""
        + TURNS
        + """
  slow_end, fast_end, count2 = Scan <num_scan_inputs = 3, body =
    vector (S, F, n, x_m, d_m, tick) => (S_next, F_next, n_next)
    {
"""
        + GRADIENT
        + """      F_new      = Sub (F, step)
"""
        + EVENT
        + """      ahead      = Sub (place, cursor)
      turn       = Mod (ahead, width)
      here       = Less (turn, reads)
      here_n     = Cast <to = 7> (here)
      moved      = Mul (here_n, due)
      mask       = CastLike (moved, F)
      value      = Mul (F_new, mask)
      transfer   = Mul (slow_rate, value)
      S_next     = Add (S, transfer)
      gone       = Mul (emptied, value)
      F_next     = Sub (F_new, gone)
    }
  > (slow, A, count, inputs, errors, ticks)

  fast_seen = Mul (share, fast_end)
  total     = Add (slow_end, fast_seen)
  W_shape   = Shape (W)
  W2        = Reshape (total, W_shape)
  fast2     = Reshape (fast_end, W_shape)
}
"""
    )
