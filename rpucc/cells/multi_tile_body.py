"""The ideal semantics of a chain of arrays in standard ONNX operators, for any number of them.

The arrays lie one behind the other, [arrays, G, R, C] from the finest to the coarsest. As the
coarsest transfer comes first, each reads an array as it was before this turn: all are made at once.
"""

from __future__ import annotations

from rpucc.cells.bodies import EVENT, GRADIENT, TURNS, VECTORS


def chain_body(tiles: int) -> str:
    """The body of the update of so many arrays, of W, x, d, lr, tile_{tiles - 2} .. tile_0, count.

    >>> "tile_02 = Reshape" in chain_body(2), "tile_12" in chain_body(2)
    (True, False)
    """
    fine = range(tiles - 1)
    each = "".join(f"  each_{m}    = Reshape (tile_{m}, as_one)\n" for m in fine)
    all_of_them = ", ".join(f"each_{m}" for m in fine)
    parts = ", ".join(f"part_{m}" for m in fine)
    given = "".join(f"  tile_{m}2 = Reshape (part_{m}, W_shape)\n" for m in fine)
    return (
        VECTORS
        + f"""  as_one    = Concat <axis = 0> (second, by_group)
{each}  fine      = Concat <axis = 0> ({all_of_them})
  links     = Constant <value_int = {tiles - 1}> ()
"""
        + _RATES
        + TURNS
        + _STEP
        + f"""
  {parts} = Split <axis = 0, num_outputs = {tiles - 1}> (fine_end)
{given}}}
"""
    )


_RATES = """
  m         = Range (zero, links, one)
  above     = Sub (links, m)
  behind    = Constant <value_ints = [1, 2, 3]> ()
  gamma     = Constant <value_float: float = @gamma> ()
  gamma_w   = CastLike (gamma, W)
  gains_m   = Pow (gamma_w, above)
  gains     = Unsqueeze (gains_m, behind)
  seen      = Mul (gains, fine)
  hidden    = ReduceSum (seen, first)
  visible   = Unsqueeze (weights, first)
  coarsest  = Sub (visible, hidden)
  tiles     = Concat <axis = 0> (fine, coarsest)

  fast_lr   = Constant <value_float: float = @fast_lr> ()
  fast_k    = CastLike (fast_lr, W)
  fast_rate = Mul (lr, fast_k)
  by_lr     = Constant <value_int: int = @scale_transfer_lr> ()
  is_by_lr  = Cast <to = 9> (by_lr)
  unit      = CastLike (one, W)
  none      = CastLike (zero, W)
  scale     = Where (is_by_lr, lr, unit)
  is_frozen = Equal (lr, none)
  learning  = Where (is_frozen, none, scale)
  slow_lr   = Constant <value_float: float = @transfer_lr> ()
  slow_k    = CastLike (slow_lr, W)
  growth    = Constant <value_float: float = @transfer_lr_growth> ()
  growth_w  = CastLike (growth, W)
  growths   = Pow (growth_w, m)
  slow_lr_m = Mul (slow_k, growths)
  rates_m   = Mul (learning, slow_lr_m)
  rates     = Unsqueeze (rates_m, behind)
  every_0   = Constant <value_int: int = @transfer_every> ()
  longer    = Constant <value_int: int = @transfer_every_growth> ()
  times     = Pow (longer, m)
  every     = Mul (every_0, times)
  reads     = Constant <value_int: int = @transfer_columns> ()
  reset     = Constant <value_int: int = @reset_fast> ()
  emptied   = CastLike (reset, W)
  by_batch  = Constant <value_int: int = @transfer_by_minibatch> ()
  inner     = Constant <value_ints = [1, 2]> ()

"""

_STEP = (
    """
  tiles_end, count2 = Scan <num_scan_inputs = 3, body =
    vector (T, n, x_m, d_m, tick) => (T_next, n_next)
    {
"""
    + GRADIENT
    + """      finest     = Slice (T, first, second)
      coarser    = Slice (T, second, end)
      pulsed     = Sub (finest, step)
      T_new      = Concat <axis = 0> (pulsed, coarser)
"""
    + EVENT
    + """      cursor_m   = Unsqueeze (cursor, any)
      ahead      = Sub (place, cursor_m)
      turn       = Mod (ahead, width)
      here       = Less (turn, reads)
      here_n     = Cast <to = 7> (here)
      due_m      = Unsqueeze (due, any)
      moved      = Mul (here_n, due_m)
      moved_w    = CastLike (moved, T)
      mask       = Unsqueeze (moved_w, inner)
      read       = Slice (T_new, first, any)
      last_T     = Slice (T_new, any, end)
      value      = Mul (read, mask)
      transfer   = Mul (rates, value)
      gone       = Mul (emptied, value)
      left       = Sub (read, gone)
      stay       = Concat <axis = 0> (left, last_T)
      nothing    = Sub (finest, finest)
      gained     = Concat <axis = 0> (nothing, transfer)
      T_next     = Add (stay, gained)
    }
  > (tiles, count, inputs, errors, ticks)

  fine_end  = Slice (tiles_end, first, any)
  last_end  = Slice (tiles_end, any, end)
  seen_end  = Mul (gains, fine_end)
  hid_end   = ReduceSum (seen_end, first)
  total     = Add (last_end, hid_end)
  W_shape   = Shape (W)
  W2        = Reshape (total, W_shape)
"""
)
