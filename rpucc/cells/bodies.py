"""What the ideal semantics of transferred cells have in common, in standard ONNX operators.

Parts of the bodies of update ops (`rpucc/op_spec.py`), which go through the vectors of a step one
after the other in a Scan. Not for what a cell does with a vector: that is in its own file.
"""

from __future__ import annotations

SAMPLES = """
{
  zero      = Constant <value_int = 0> ()
  one       = Constant <value_int = 1> ()
  first     = Constant <value_ints = [0]> ()
  second    = Constant <value_ints = [1]> ()
  any       = Constant <value_ints = [-1]> ()
  end       = Constant <value_ints = [9223372036854775807]> ()
  many      = Constant <value_int: int = @groups> ()
  group     = Unsqueeze (many, first)
  columns   = Shape <start = 1> (W)
  all_rows  = Shape <end = 1> (W)
  rows      = Div (all_rows, group)
  places    = Shape <start = -2, end = -1> (x)
  x_shape   = Concat <axis = 0> (any, group, places, columns)
  d_shape   = Concat <axis = 0> (any, group, places, rows)
  samples_x = Reshape (x, x_shape)
  samples_d = Reshape (d, d_shape)
"""
"""The beginning: `samples_x` [N, G, P, C] and `samples_d` [N, G, P, R] of the step."""

VECTORS = (
    SAMPLES
    + """  vectors_x = Transpose <perm = [0, 2, 1, 3]> (samples_x)
  vectors_d = Transpose <perm = [0, 2, 1, 3]> (samples_d)
  in_shape  = Concat <axis = 0> (any, group, columns)
  out_shape = Concat <axis = 0> (any, group, rows)
  inputs    = Reshape (vectors_x, in_shape)
  errors    = Reshape (vectors_d, out_shape)
  by_group  = Concat <axis = 0> (group, rows, columns)
  weights   = Reshape (W, by_group)
"""
)
"""The same, then `inputs` [M, G, C] and `errors` [M, G, R] of the step's vectors, and `weights`
[G, R, C] as reads see them."""

TURNS = """  cut       = Constant <value_ints: ints = @col_cuts> ()
  starts    = Slice (cut, first, any)
  ends      = Slice (cut, second, end)
  widths    = Sub (ends, starts)
  C         = Squeeze (columns)
  column    = Range (zero, C, one)
  column_c  = Unsqueeze (column, one)
  passed    = GreaterOrEqual (column_c, ends)
  passed_n  = Cast <to = 7> (passed)
  segment   = ReduceSum <keepdims = 0> (passed_n, any)
  start     = Gather (starts, segment)
  width     = Gather (widths, segment)
  place     = Sub (column, start)

  taken     = Shape <end = 1> (inputs)
  M         = Squeeze (taken)
  number    = Range (zero, M, one)
  last      = Sub (M, one)
  is_last   = Equal (number, last)
  is_last_n = Cast <to = 7> (is_last)
  by_vector = Sub (one, by_batch)
  ticks     = Max (is_last_n, by_vector)
"""
"""Of each column its `place` in its tile and that tile's `width` [C]; `ticks` [M], what a vector
adds to the count of vectors or minibatches (`by_batch`)."""

GRADIENT = """      x_axis     = Constant <value_ints = [1]> ()
      x_row      = Unsqueeze (x_m, x_axis)
      d_column   = Unsqueeze (d_m, any)
      gradient   = Mul (d_column, x_row)
      step       = Mul (fast_rate, gradient)
"""
"""Of a vector: the `step` [G, R, C] that the array which takes the gradients makes against them."""

EVENT = """      n_next     = Add (n, tick)
      rest       = Mod (n_next, every)
      is_whole   = Equal (rest, zero)
      is_whole_n = Cast <to = 7> (is_whole)
      due        = Mul (is_whole_n, tick)
      periods    = Div (n_next, every)
      event      = Sub (periods, one)
      cursor     = Mul (event, reads)
"""
"""Whether a transfer is `due` behind a vector, and the `cursor` that its columns begin at."""
