"""The ideal semantics of RIDER and E-RIDER in standard ONNX operators.

A Scan over the vectors of a step with exact updates and reads. A body draws nothing: a sign that
changes by chance stays as it is.
"""

from __future__ import annotations

from rpucc.cells.bodies import EVENT, GRADIENT, TURNS, VECTORS

_RATES = """
  A         = Reshape (fast, by_group)
  means     = Reshape (recent, by_group)
  none      = CastLike (zero, W)
  unit      = CastLike (one, W)
  gamma     = Constant <value_float: float = @gamma> ()
  share     = CastLike (gamma, W)
  fast_lr   = Constant <value_float: float = @fast_lr> ()
  fast_k    = CastLike (fast_lr, W)
  fast_rate = Mul (lr, fast_k)
  slow_lr   = Constant <value_float: float = @transfer_lr> ()
  slow_k    = CastLike (slow_lr, W)
  by_lr     = Constant <value_int: int = @scale_transfer_lr> ()
  is_by_lr  = Cast <to = 9> (by_lr)
  own_rate  = Where (is_by_lr, lr, unit)
  is_frozen = Equal (lr, none)
  learning  = Where (is_frozen, none, own_rate)
  slow_rate = Mul (learning, slow_k)
  eta_f     = Constant <value_float: float = @recent_share> ()
  eta       = CastLike (eta_f, W)
  every     = Constant <value_int: int = @transfer_every> ()
  reads     = Constant <value_int: int = @transfer_columns> ()
  reset     = Constant <value_int: int = @reset_fast> ()
  emptied   = CastLike (reset, W)
  by_batch  = Constant <value_int: int = @transfer_by_minibatch> ()
"""

_PERIOD = """
  widest    = ReduceMax <keepdims = 0> (widths)
  at_once   = Min (reads, widest)
  widest_up = Add (widest, at_once)
  widest_on = Sub (widest_up, one)
  whole     = Div (widest_on, at_once)
  passes    = Constant <value_int: int = @flip_every> ()
  turns     = Max (passes, one)
  period    = Mul (turns, whole)
  by_chance = Constant <value_int: int = @flip_random> ()
  random    = Cast <to = 9> (by_chance)
  ever      = Greater (passes, zero)
  regular   = Not (random)
  flips     = And (ever, regular)
"""
"""Transfers until the sign changes: those that read the widest tile so often."""

_SEEN = """
  seen      = Mul (share, A)
"""

_SEEN_FROM = """
  R         = Reshape (reference, by_group)
  both      = Add (flipped, flipped)
  sign_0    = Sub (unit, both)
  apart     = Sub (A, R)
  with_sign = Mul (sign_0, apart)
  seen      = Mul (share, with_sign)
"""

_SIGN = """
      twice      = Add (f, f)
      sign       = Sub (unit, twice)
      turned     = Mul (sign, step)
"""

_READ = """
      ahead      = Sub (place, cursor)
      turn       = Mod (ahead, width)
      here       = Less (turn, reads)
      here_n     = Cast <to = 7> (here)
      moved      = Mul (here_n, due)
      is_read    = Cast <to = 9> (moved)
      mask       = CastLike (moved, F)
      value      = Mul (F_new, mask)
      gap        = Sub (value, Q)
      part       = Mul (eta, gap)
      Q_moved    = Add (Q, part)
      Q_next     = Where (is_read, Q_moved, Q)
      above      = Sub (value, Q_moved)
      own        = Mul (above, mask)
      gone       = Mul (emptied, value)
      F_next     = Sub (F_new, gone)
"""

_FLIP = """
      signed     = Mul (sign, own)
      transfer   = Mul (slow_rate, signed)
      S_next     = Add (S, transfer)
      in_period  = Mod (periods, period)
      is_end     = Equal (in_period, zero)
      is_due     = Cast <to = 9> (due)
      is_time    = And (is_end, is_due)
      flip       = And (is_time, flips)
      unflipped  = Sub (unit, f)
      f_next     = Where (flip, unflipped, f)
      T_next     = Where (flip, Q_next, T)
"""

_END_FLIPS = """
  both_end  = Add (flipped2, flipped2)
  sign_end  = Sub (unit, both_end)
  apart_end = Sub (fast_end, reference_end)
  turned_to = Mul (sign_end, apart_end)
  fast_seen = Mul (share, turned_to)
"""

_END = """
  total     = Add (slow_end, fast_seen)
  W_shape   = Shape (W)
  W2        = Reshape (total, W_shape)
  fast2     = Reshape (fast_end, W_shape)
  recent2   = Reshape (recent_end, W_shape)
"""


def rider_body(*, flips: bool) -> str:
    """The body of the update, in braces; flips: with a sign that changes, and what it leaves."""
    carried = [
        ("slow_end", "S", "slow"), ("fast_end", "F", "A"), ("recent_end", "Q", "means"),
        *([("reference_end", "T", "R"), ("flipped2", "f", "flipped")] if flips else []),
        ("count2", "n", "count"),
    ]  # fmt: skip
    results, names, before = zip(*carried, strict=True)
    plain = "      transfer   = Mul (slow_rate, own)\n      S_next     = Add (S, transfer)\n"
    pulse = f"      F_new      = Sub (F, {'turned' if flips else 'step'})\n"
    each = [GRADIENT, _SIGN if flips else "", pulse, EVENT, _READ, _FLIP if flips else plain]
    scan = (
        f"  {', '.join(results)} = Scan <num_scan_inputs = 3, body =\n"
        f"    vector ({', '.join(names)}, x_m, d_m, tick) => "
        f"({', '.join(f'{name}_next' for name in names)})\n"
        f"    {{\n{''.join(each)}    }}\n"
        f"  > ({', '.join(before)}, inputs, errors, ticks)\n"
    )
    seen = "  slow      = Sub (weights, seen)\n\n"
    parts = [
        VECTORS, _RATES, _SEEN_FROM if flips else _SEEN, seen, TURNS, _PERIOD if flips else "",
        scan, _END_FLIPS if flips else "\n  fast_seen = Mul (share, fast_end)\n", _END,
        "  reference2 = Reshape (reference_end, W_shape)\n" if flips else "",
    ]  # fmt: skip
    return "".join(parts) + "}\n"
