"""The ideal semantics of cells with digital memory, in standard ONNX operators.

A Scan over the vectors of a step with exact updates and reads: writes are whole steps of ideal
devices. Random flips of choppers are left out, because a body draws nothing: there a chopper stays
as it is. Not for the rules themselves: each is `transfer` of its cell.
"""

from __future__ import annotations

from rpucc.cells.bodies import TURNS, VECTORS

FAST = """
  A         = Reshape (fast, by_group)
  every     = Constant <value_int: int = @transfer_every> ()
  by_batch  = Constant <value_int: int = @transfer_by_minibatch> ()
"""
"""The fast array by group, and what its transfers come after."""

AT_ONCE = """
  wanted    = Constant <value_int: int = @transfer_columns> ()
  at_once   = Min (wanted, width)
"""
"""How many columns of a column's tile are read at once."""

RATES = """
  none      = CastLike (zero, W)
  unit      = CastLike (one, W)
  gamma     = Constant <value_float: float = @gamma> ()
  share     = CastLike (gamma, W)
  seen      = Mul (share, A)
  slow      = Sub (weights, seen)
  H         = Reshape (buffer, by_group)
  reset     = Constant <value_int: int = @reset_fast> ()
  emptied   = CastLike (reset, W)

  fast_s    = Constant <value_float: float = @fast_step> ()
  slow_s    = Constant <value_float: float = @slow_step> ()
  fast_step = CastLike (fast_s, W)
  slow_step = CastLike (slow_s, W)
  fast_lr   = Constant <value_float: float = @fast_lr> ()
  fast_lr_w = CastLike (fast_lr, W)
  by_lr     = Constant <value_int: int = @scale_fast_lr> ()
  is_by_lr  = Cast <to = 9> (by_lr)
  lr_fast   = Where (is_by_lr, lr, unit)
  fast_own  = Mul (fast_lr_w, lr_fast)
  slots     = Constant <value_int: int = @slots> ()
  slots_w   = CastLike (slots, W)
  reach     = Mul (slots_w, fast_step)
  automatic = Constant <value_int: int = @auto_scale> ()
  is_auto   = Cast <to = 9> (automatic)
  aim       = Where (is_auto, reach, unit)
  fast_rate = Mul (fast_own, aim)
  new_share = Constant <value_float = 0.01> ()
  new_all   = CastLike (new_share, W)
  M_w       = CastLike (M, W)
  new_part  = Div (new_all, M_w)

  slow_lr   = Constant <value_float: float = @transfer_lr> ()
  slow_lr_w = CastLike (slow_lr, W)
  by_slow   = Constant <value_int: int = @scale_transfer_lr> ()
  is_by_s   = Cast <to = 9> (by_slow)
  lr_slow   = Where (is_by_s, lr, unit)
  slow_rate = Mul (slow_lr_w, lr_slow)
  grains    = Constant <value_float: float = $GRAINS> ()
  grains_w  = CastLike (grains, W)
  grain     = Mul (grains_w, $STEP)
  gathered  = Constant <value_float: float = @auto_granularity> ()
  gather_w  = CastLike (gathered, W)
  batches   = Mul (M, every)
  is_batch  = Cast <to = 9> (by_batch)
  spacing   = Where (is_batch, batches, every)
  spaced    = Mul (spacing, width)
  spaced_w  = CastLike (spaced, W)
  at_once_w = CastLike (at_once, W)
  apart     = Div (spaced_w, at_once_w)
  fewer     = Div (gather_w, apart)
  has_auto  = Greater (gather_w, none)
  times     = Where (has_auto, fewer, unit)
  H_unit    = Mul (grain, times)
  gain      = Div (slow_rate, H_unit)
  correct   = Constant <value_int: int = @correct_gradient_magnitudes> ()
  is_right  = Cast <to = 9> (correct)
  ratio     = Div (fast_step, slow_step)

  most      = Constant <value_int: int = @transfer_bl> ()
  most_w    = CastLike (most, W)
  least_w   = Neg (most_w)
  momentum  = Constant <value_float: float = @momentum> ()
  kept      = CastLike (momentum, W)
  gone      = Sub (unit, kept)
"""
"""Rates, units and steps; `gain` [C] is what H gains a unit of the weight."""

FORGETTING = """
  forget    = Constant <value_int: int = @forget_buffer> ()
  forgets   = Cast <to = 9> (forget)
  cap       = Constant <value_float: float = @buffer_cap> ()
  cap_w     = CastLike (cap, W)
  has_cap   = Greater (cap_w, none)
  cap_H     = Mul (cap_w, most_w)
  endless   = Constant <value_float = 3e38> ()
  endless_w = CastLike (endless, W)
  bounded   = Where (has_cap, cap_H, endless_w)
  H_most    = Where (forgets, endless_w, bounded)
  H_least   = Neg (H_most)
"""

CHOPS = """
  chance    = Constant <value_float: float = @in_chop_prob> ()
  nought    = Constant <value_float = 0.0> ()
  whole     = Constant <value_float = 1.0> ()
  pair      = Constant <value_float = 2.0> ()
  slack     = Constant <value_float = 0.001> ()
  chops     = Greater (chance, nought)
  chance_1  = Where (chops, chance, whole)
  reads_r   = Div (whole, chance_1)
  reads_s   = Sub (reads_r, slack)
  reads_c   = Ceil (reads_s)
  reads_t   = Max (reads_c, pair)
  period    = Cast <to = 7> (reads_t)
  by_chance = Constant <value_int: int = @in_chop_random> ()
  random    = Cast <to = 9> (by_chance)
  regular   = Not (random)
  flips     = And (chops, regular)
"""

AVERAGING = """
  tail      = Constant <value_float: float = @tail_weightening> ()
  in_tail   = Div (tail, reads_t)
  some_beta = Min (in_tail, whole)
  beta_f    = Where (chops, some_beta, nought)
  beta      = CastLike (beta_f, W)
  holding   = Constant <value_int: int = @warm_up> ()
  is_held   = Cast <to = 9> (holding)
  holds     = And (chops, is_held)
  recents   = Reshape (recent, by_group)
  offsets   = Reshape (offset, by_group)
"""

PULSE = """
      x_axis     = Constant <value_ints = [1]> ()
      x_size     = Abs (x_m)
      x_most     = ReduceMax <keepdims = 0> (x_size)
      d_size     = Abs (d_m)
      d_most     = ReduceMax <keepdims = 0> (d_size)
      x_new      = Unsqueeze (x_most, first)
      d_new      = Unsqueeze (d_most, first)
      m_new      = Concat <axis = 0> (x_new, d_new)
      m_gap      = Sub (m_new, m)
      m_part     = Mul (new_part, m_gap)
      m_moved    = Add (m, m_part)
      m_has      = Greater (m, none)
      m_this     = Where (m_has, m_moved, m_new)
      m_counts   = Greater (m_new, none)
      m_counted  = Where (m_counts, m_this, m)
      m_next     = Where (is_auto, m_counted, m)
      m_product  = ReduceProd <keepdims = 0> (m_next)
      m_whole    = Greater (m_product, none)
      m_divides  = And (is_auto, m_whole)
      m_divisor  = Where (m_divides, m_product, unit)
      rate       = Div (fast_rate, m_divisor)
      x_row      = Unsqueeze ($INPUT, x_axis)
      d_column   = Unsqueeze (d_m, any)
      gradient   = Mul (d_column, x_row)
      step       = Mul (rate, gradient)
      F_new      = Sub (F, step)
"""
"""Running means, the rate, and the update of the fast array."""

SIGN = """
      twice      = Add (ch, ch)
      sign       = Sub (unit, twice)
      x_chopped  = Mul (x_m, sign)
"""

TURN = """
      n_next     = Add (n, tick)
      rest       = Mod (n_next, every)
      is_whole   = Equal (rest, zero)
      ticks_now  = Cast <to = 9> (tick)
      due        = And (is_whole, ticks_now)
      periods    = Div (n_next, every)
      event      = Sub (periods, one)
      cursor     = Mul (event, at_once)
      ahead      = Sub (place, cursor)
      turn       = Mod (ahead, width)
      is_turn    = Less (turn, at_once)
      here       = And (is_turn, due)
      here_w     = CastLike (here, F)
      value      = Mul (F_new, here_w)
      corrected  = Mul (gain, ratio)
      by_rate    = Div (corrected, rate)
      scale      = Where (is_right, by_rate, gain)
"""
"""Which columns are read after this vector."""

FLIP = """
      read       = Add (cursor, turn)
      passes     = Div (read, width)
      in_period  = Mod (passes, period)
      reads_done = Add (in_period, one)
      is_end     = Equal (reads_done, period)
      flips_here = And (is_end, here)
      flip       = And (flips_here, flips)
      unchopped  = Sub (unit, ch)
      ch_next    = Where (flip, unchopped, ch)
"""

REFERENCE = """
      is_new     = Greater (sw, none)
      renews     = And (is_new, here)
      O_next     = Where (renews, P, O)
      own        = Sub (value, O_next)
"""

AVERAGE = """
      is_early   = LessOrEqual (passes, period)
      is_warming = And (is_early, holds)
      total      = Where (is_warming, none, summed)
      P_gap      = Sub (value, P)
      P_part     = Mul (beta, P_gap)
      P_moved    = Add (P, P_part)
      P_next     = Where (here, P_moved, P)
      flip_w     = CastLike (flip, F)
      sw_next    = Where (here, flip_w, sw)
"""

WRITE = """
      low        = Max (total, least_w)
      cut_total  = Min (low, most_w)
      magnitude  = Abs (cut_total)
      whole_part = Floor (magnitude)
      direction  = Sign (cut_total)
      pulses     = Mul (whole_part, direction)
"""

FORGET = """
      written    = Mul (gone, pulses)
      less       = Sub (total, written)
      of_total   = Mul (total, kept)
      no_pulse   = Equal (pulses, none)
      forgotten  = Where (no_pulse, total, of_total)
      either     = Where (forgets, forgotten, less)
      over       = Max (either, H_least)
      left       = Min (over, H_most)
"""

NEXT = """
      H_next     = Where (here, left, B)
      pulsed_now = Mul (pulses, here_w)
      transfer   = Mul (slow_step, pulsed_now)
      S_next     = Add (S, transfer)
      emptying   = Mul (emptied, value)
      F_next     = Sub (F_new, emptying)
"""

END = """
  fast_seen = Mul (share, fast_end)
  all       = Add (slow_end, fast_seen)
  W_shape   = Shape (W)
  W2        = Reshape (all, W_shape)
  fast2     = Reshape (fast_end, W_shape)
  buffer2   = Reshape (H_end, W_shape)
"""

END_AVERAGES = """
  recent2   = Reshape (P_end, W_shape)
  offset2   = Reshape (O_end, W_shape)
"""


def buffered_body(
    grains: str, step: str, *, chops: bool = False, averages: bool = False, decays: bool = False
) -> str:
    """Return the body of a cell with digital memory, in braces.

    grains: the attribute that says how many granularities make H's unit; step: whose they are.
    chops: with choppers. averages: of what is read, which is what reads count from once a chopper
    flipped. decays: H is a running mean.
    """
    carried = [
        ("slow_end", "S", "slow"), ("fast_end", "F", "A"), ("H_end", "B", "H"),
        *([("P_end", "P", "recents"), ("O_end", "O", "offsets")] if averages else []),
        *([("chopped2", "ch", "chopped")] if chops else []),
        *([("switched2", "sw", "switched")] if averages else []),
        ("sizes2", "m", "sizes"), ("count2", "n", "count"),
    ]  # fmt: skip
    results, names, before = zip(*carried, strict=True)
    after = ["H_next" if name == "B" else f"{name}_next" for name in names]
    gained = "own" if averages else "value"
    gains = [f"gained = Mul (scale, {gained})"]
    if chops:
        gains = [f"signed = Mul (sign, {gained})", "gained = Mul (scale, signed)"]
    if decays:
        gains += ["old = Mul (kept, B)", "new = Mul (gone, gained)", "total = Add (old, new)"]
    else:
        gains += [f"{'summed' if averages else 'total'} = Add (B, gained)"]
    each = [
        *([SIGN] if chops else []),
        PULSE.replace("$INPUT", "x_chopped" if chops else "x_m"),
        TURN,
        *([FLIP] if chops else []),
        *([REFERENCE] if averages else []),
        "".join(f"      {line}\n" for line in gains),
        *([AVERAGE] if averages else []),
        WRITE,
        "      left = Sub (total, pulses)\n" if decays else FORGET,
        NEXT,
    ]
    scan = (
        f"  {', '.join(results)} = Scan <num_scan_inputs = 3, body =\n"
        f"    vector ({', '.join(names)}, x_m, d_m, tick) => ({', '.join(after)})\n"
        f"    {{{''.join(each)}    }}\n"
        f"  > ({', '.join(before)}, inputs, errors, ticks)\n"
    )
    rates = RATES.replace("$GRAINS", grains).replace("$STEP", step)
    parts = [
        VECTORS, FAST, TURNS, AT_ONCE, rates, "" if decays else FORGETTING, CHOPS if chops else "",
        AVERAGING if averages else "", scan, END, END_AVERAGES if averages else "",
    ]  # fmt: skip
    return "".join(parts) + "}\n"
