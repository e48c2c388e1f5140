"""The ideal semantics of the rpu ops, as ONNX function text.

Each body says in standard operators what an array machine without noise, bounds, converters and
device non-idealities computes. Not for analog behaviour: that is the runtime's. Attributes that
only the analog semantics uses are declared (a checker must know them) and left unread.

`$opset` stands for the model's own "" opset version, 18 at least (Pad's `axes`, ReduceProd's).
Bodies take float and double: constants follow their tensor's type through CastLike.
"""

from __future__ import annotations

IM2COL = """
<domain: "rpu", opset_import: ["" : $opset]>
Im2Col <kernel_shape, strides, pads, dilations> (X) => (cols)
{
  kernel   = Constant <value_ints: ints = @kernel_shape> ()
  stride   = Constant <value_ints: ints = @strides> ()
  padding  = Constant <value_ints: ints = @pads> ()
  dilation = Constant <value_ints: ints = @dilations> ()
  zero = Constant <value_int = 0> ()
  one  = Constant <value_int = 1> ()
  two  = Constant <value_int = 2> ()
  rank = Size (kernel)
  axis = Range (zero, rank, one)
  row  = Unsqueeze (axis, one)
  later = Less (row, axis)

  space_axes = Add (axis, two)
  padded     = Pad (X, padding, , space_axes)
  space      = Shape <start = 2> (padded)
  kernel_less_one = Sub (kernel, one)
  reach     = Mul (dilation, kernel_less_one)
  free      = Sub (space, reach)
  free_less_one = Sub (free, one)
  last_step = Div (free_less_one, stride)
  out_space = Add (last_step, one)

  minus_one    = Constant <value_ints = [-1]> ()
  space_later  = Where (later, space, one)
  space_step   = ReduceProd <keepdims = 0> (space_later, minus_one)
  out_later    = Where (later, out_space, one)
  out_step     = ReduceProd <keepdims = 0> (out_later, minus_one)
  kernel_later = Where (later, kernel, one)
  kernel_step  = ReduceProd <keepdims = 0> (kernel_later, minus_one)

  positions   = ReduceProd <keepdims = 0> (out_space)
  position    = Range (zero, positions, one)
  position_c  = Unsqueeze (position, one)
  out_whole   = Div (position_c, out_step)
  out_index   = Mod (out_whole, out_space)
  corner_step = Mul (stride, space_step)
  corner_part = Mul (out_index, corner_step)
  corner      = ReduceSum <keepdims = 1> (corner_part, minus_one)

  taps         = ReduceProd <keepdims = 0> (kernel)
  tap          = Range (zero, taps, one)
  tap_c        = Unsqueeze (tap, one)
  kernel_whole = Div (tap_c, kernel_step)
  kernel_index = Mod (kernel_whole, kernel)
  tap_step     = Mul (dilation, space_step)
  tap_part     = Mul (kernel_index, tap_step)
  tap_offset   = ReduceSum <keepdims = 0> (tap_part, minus_one)
  index        = Add (corner, tap_offset)

  flat_shape  = Constant <value_ints = [0, 0, -1]> ()
  flat        = Reshape (padded, flat_shape)
  windows     = Gather <axis = 2> (flat, index)
  by_position = Transpose <perm = [0, 2, 1, 3]> (windows)
  cols        = Reshape (by_position, flat_shape)
}
"""

APPEND_ONE = """
<domain: "rpu", opset_import: ["" : $opset]>
AppendOne (x) => (x1)
{
  lead  = Shape <end = -1> (x)
  width = Constant <value_ints = [1]> ()
  shape = Concat <axis = 0> (lead, width)
  one   = Constant <value_float = 1.0> ()
  typed = CastLike (one, x)
  ones  = Expand (typed, shape)
  x1    = Concat <axis = -1> (x, ones)
}
"""

ASSIGN = """
<domain: "rpu", opset_import: ["" : $opset]>
Assign <copies, layer: int = 0> (x) => (shares)
{
  n         = Constant <value_ints: ints = @copies> ()
  zero      = Constant <value_ints = [0]> ()
  axis      = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  positions = Shape <start = 1, end = 2> (x)
  rest      = Mod (positions, n)
  missing   = Sub (n, rest)
  filling   = Mod (missing, n)
  pads      = Concat <axis = 0> (zero, filling)
  padded    = Pad (x, pads, , axis)
  width     = Shape <start = 2> (x)
  total     = Add (positions, filling)
  each      = Div (total, n)
  shape     = Concat <axis = 0> (minus_one, n, each, width)
  shares    = Reshape (padded, shape)
}
"""

COLLECT = """
<domain: "rpu", opset_import: ["" : $opset]>
Collect <positions, layer: int = 0> (shares) => (y)
{
  count     = Constant <value_ints: ints = @positions> ()
  zero      = Constant <value_ints = [0]> ()
  axis      = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  batch     = Shape <end = 1> (shares)
  width     = Shape <start = -1> (shares)
  shape     = Concat <axis = 0> (batch, minus_one, width)
  in_order  = Reshape (shares, shape)
  y         = Slice (in_order, zero, count, axis)
}
"""

NOISE_MANAGE = """
<domain: "rpu", opset_import: ["" : $opset]>
NoiseManage <cuts, mode: string = "abs-max"> (x) => (xs, s)
{
  cut       = Constant <value_ints: ints = @cuts> ()
  zero      = Constant <value_int = 0> ()
  one       = Constant <value_int = 1> ()
  first     = Constant <value_ints = [1]> ()
  end       = Constant <value_ints = [9223372036854775807]> ()
  minus_one = Constant <value_ints = [-1]> ()
  cut_ends  = Slice (cut, first, end)
  x_shape   = Shape (x)
  width     = Gather (x_shape, minus_one)
  columns   = Squeeze (width)
  column    = Range (zero, columns, one)
  column_c  = Unsqueeze (column, one)
  passed    = GreaterOrEqual (column_c, cut_ends)
  passed_n  = Cast <to = 7> (passed)
  segment   = ReduceSum <keepdims = 0> (passed_n, minus_one)

  lead      = Shape <end = -1> (x)
  segments  = Shape (cut_ends)
  s_shape   = Concat <axis = 0> (lead, segments)
  none      = Constant <value_float = 0.0> ()
  none_x    = CastLike (none, x)
  start     = Expand (none_x, s_shape)
  size      = Abs (x)
  into      = Expand (segment, x_shape)
  s         = ScatterElements <axis = -1, reduction = "max"> (start, into, size)

  silent    = Equal (s, none_x)
  unit      = Constant <value_float = 1.0> ()
  unit_x    = CastLike (unit, x)
  divisor   = Where (silent, unit_x, s)
  divisors  = Gather <axis = -1> (divisor, segment)
  xs        = Div (x, divisors)
}
"""

_READ = """
<domain: "rpu", opset_import: ["" : $opset]>
$name <row_cuts, col_cuts, transpose: int = 0, groups: int = 1, copies: int = 1,
       first_tile: int = 0, noise: float = 0.0, bound: float = 0.0, dac_bits: int = 0,
       dac_stochastic: int = 0, adc_bits: int = 0$more>
      (x, W) => (y)
{
  zero      = Constant <value_int = 0> ()
  one       = Constant <value_int = 1> ()
  first     = Constant <value_ints = [0]> ()
  second    = Constant <value_ints = [1]> ()
  minus_one = Constant <value_ints = [-1]> ()
  end       = Constant <value_ints = [9223372036854775807]> ()
  count     = Constant <value_int: int = @groups> ()
  group     = Unsqueeze (count, first)
  columns   = Shape <start = 1> (W)
  by_group  = Concat <axis = 0> (group, minus_one, columns)
  W_groups  = Reshape (W, by_group)

  flag     = Constant <value_int: int = @transpose> ()
  backward = Cast <to = 9> (flag)
  matrix, cut = If (backward) <
    then_branch = rows () => (W_rows, cut_rows)
    {
      W_rows   = Identity (W_groups)
      cut_rows = Constant <value_ints: ints = @row_cuts> ()
    },
    else_branch = columns () => (W_columns, cut_columns)
    {
      W_columns   = Transpose <perm = [0, 2, 1]> (W_groups)
      cut_columns = Constant <value_ints: ints = @col_cuts> ()
    }
  >

  starts    = Slice (cut, first, minus_one)
  ends      = Slice (cut, second, end)
  lengths   = Sub (ends, starts)
  longest   = ReduceMax <keepdims = 0> (lengths)
  offset    = Range (zero, longest, one)
  starts_c  = Unsqueeze (starts, one)
  ends_c    = Unsqueeze (ends, one)
  wanted    = Add (starts_c, offset)
  inside    = Less (wanted, ends_c)
  width     = Shape <start = -1> (x)
  last      = Sub (width, one)
  line      = Min (wanted, last)

  inside_c  = Unsqueeze (inside, minus_one)
  picked    = Gather <axis = 1> (matrix, line)
  none      = Constant <value_float = 0.0> ()
  none_W    = CastLike (none, W)
  weights   = Where (inside_c, picked, none_W)

  places    = Shape <start = -2, end = -1> (x)
  in_shape  = Concat <axis = 0> (minus_one, group, places, width)
  vectors   = Reshape (x, in_shape)
  pieces    = Gather <axis = 3> (vectors, line)
  inputs    = Transpose <perm = [0, 1, 3, 2, 4]> (pieces)
  sums      = MatMul (inputs, weights)
  by_vector = Transpose <perm = [0, 1, 3, 2, 4]> (sums)

  lead      = Shape <end = -1> (x)
  segments  = Shape (starts)
  outputs   = Shape <start = 2> (matrix)
  y_shape   = Concat <axis = 0> (lead, segments, outputs)
  y         = Reshape (by_vector, y_shape)
}
"""

READ = _READ.replace("$name", "Read").replace("$more", "")
BOUNDED_READ = _READ.replace("$name", "BoundedRead").replace(
    "$more", ", max_halvings: int = 0, assumed_w_max: float = 0.0"
)

RESCALE = """
<domain: "rpu", opset_import: ["" : $opset]>
Rescale (y, s) => (rescaled)
{
  last     = Constant <value_ints = [-1]> ()
  factor   = Unsqueeze (s, last)
  rescaled = Mul (y, factor)
}
"""

UPDATE = """
<domain: "rpu", opset_import: ["" : $opset]>
Update <pulsed: int = 0, bl: int = 0, update_management: int = 0, update_bl_management: int = 0,
        row_cuts: ints = [], col_cuts: ints = [], groups: int = 1, copies: int = 1,
        first_tile: int = 0>
       (W, x, d, lr) => (W2)
{
  any       = Constant <value_ints = [-1]> ()
  first     = Constant <value_ints = [0]> ()
  count     = Constant <value_int: int = @groups> ()
  group     = Unsqueeze (count, first)
  all_rows  = Shape <end = 1> (W)
  rows      = Div (all_rows, group)
  columns   = Shape <start = 1> (W)
  places    = Shape <start = -2, end = -1> (x)
  x_shape   = Concat <axis = 0> (any, group, places, columns)
  d_shape   = Concat <axis = 0> (any, group, places, rows)
  inputs    = Reshape (x, x_shape)
  errors    = Reshape (d, d_shape)
  by_group  = Transpose <perm = [1, 0, 2, 3]> (inputs)
  errors_t  = Transpose <perm = [1, 3, 0, 2]> (errors)
  in_shape  = Concat <axis = 0> (group, any, columns)
  out_shape = Concat <axis = 0> (group, rows, any)
  all_x     = Reshape (by_group, in_shape)
  all_d     = Reshape (errors_t, out_shape)
  gradients = MatMul (all_d, all_x)
  W_shape   = Shape (W)
  gradient  = Reshape (gradients, W_shape)
  step      = Mul (lr, gradient)
  W2        = Sub (W, step)
}
"""

BODIES: dict[str, str] = {
    "Im2Col": IM2COL,
    "AppendOne": APPEND_ONE,
    "Assign": ASSIGN,
    "Collect": COLLECT,
    "NoiseManage": NOISE_MANAGE,
    "Read": READ,
    "BoundedRead": BOUNDED_READ,
    "Rescale": RESCALE,
    "Update": UPDATE,
}
"""Op name to the text of its function, in the order of a layer's three cycles."""
