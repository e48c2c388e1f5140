"""Read and BoundedRead: the array operation, plain and under bound management.

What a read carries of its layer's policy are the keys that are `OnNode("Read")`, and of a
BoundedRead also those that are `OnNode("BoundedRead")`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rpucc.node_attributes import cuts, switch
from rpucc.op_shapes import Attributes, Shape, agree, check_cuts, check_rank, group_rows, ints_of
from rpucc.op_spec import ABSENT_TILES, CUTS, GROUPS, OpSpec

_BODY = """
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


def read(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """x [.., C], W [R, C] -> [.., S, R]; transpose: x [.., R] -> [.., S, C]."""
    x, W = inputs
    check_rank("x", x, 2)
    if len(W) != 2:
        raise ValueError(f"W must be [R, C], found rank {len(W)}")
    row_cuts, col_cuts = ints_of(attributes, "row_cuts"), ints_of(attributes, "col_cuts")
    check_cuts("row_cuts", row_cuts, group_rows(attributes, W, ("x", x)))
    check_cuts("col_cuts", col_cuts, W[1])
    cuts_in, cuts_out = col_cuts, row_cuts
    if attributes.get("transpose", 0):
        cuts_in, cuts_out = row_cuts, col_cuts
    agree("the length of x is not that of W's side", x[-1], cuts_in[-1])
    return [[*x[:-1], len(cuts_in) - 1, cuts_out[-1]]]


_OWN = (cuts("row_cuts", CUTS), cuts("col_cuts", CUTS), switch("transpose"), *GROUPS, ABSENT_TILES)

READ = OpSpec(
    name="Read",
    doc="The array operation: one partial sum of W x a column segment, or with transpose = 1 of "
    "W^T x a row segment.",
    inputs=("x", "W"),
    outputs=("y",),
    own=_OWN,
    carries=("Read",),
    body=_BODY,
    shapes=read,
    matrix="read",
)
BOUNDED_READ = OpSpec(
    name="BoundedRead",
    doc="Read under bound management: halve the input and read again while the output saturates, "
    "max_halvings times at most. With assumed_w_max above 0 read again once, with the input "
    "scaled so that weights of that size cannot saturate.",
    inputs=("x", "W"),
    outputs=("y",),
    own=_OWN,
    carries=("Read", "BoundedRead"),
    body=_BODY,
    shapes=read,
    matrix="read",
)
