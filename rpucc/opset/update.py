"""Update: the update cycle.

What it carries of its layer's policy are the keys that are `OnNode("Update")`.
"""

from __future__ import annotations

from collections.abc import Sequence

from rpucc.cost.operations import Node, Operations
from rpucc.node_attributes import cuts
from rpucc.op_shapes import Attributes, Shape, agree, check_cuts, check_rank, group_rows, ints_of
from rpucc.op_spec import ABSENT_TILES, CUTS, GROUPS, OpSpec

_BODY = """
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


def update(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """W [R, C], x [.., C], d [.., R], lr [] -> [R, C]."""
    W, x, d, lr = inputs
    if len(W) != 2 or lr:
        raise ValueError(f"W must be [R, C] and lr [], found ranks {len(W)} and {len(lr)}")
    check_rank("x", x, 2)
    check_rank("d", d, 2)
    rows = group_rows(attributes, W, ("x", x), ("d", d))
    if len(x) != len(d):
        raise ValueError(f"x and d must be alike but for their lines, found {x} and {d}")
    for left, right in zip(x[:-1], d[:-1], strict=True):
        agree("x and d must be alike but for their lines", left, right)
    agree("the length of x is not W's columns", x[-1], W[1])
    agree("the length of d is not W's rows", d[-1], rows)
    for name, lines in (("row_cuts", rows), ("col_cuts", W[1])):
        if cuts := ints_of(attributes, name):
            check_cuts(name, cuts, lines)
    return [list(W)]


def work(node: Node) -> Operations:
    """Update management needs max|x| and max|d| and two factors an update; else nothing."""
    attributes = node.node.attributes
    managed = attributes.get_int("update_management", 0)
    if not managed and not attributes.get_int("update_bl_management", 0):
        return Operations()
    x, d = node.input(1), node.input(2)
    return Operations(adds=x + d, functions=2 * x / node.dim(1, -1))


OWN = (
    cuts("row_cuts", CUTS, default=()),
    cuts("col_cuts", CUTS, default=()),
    *GROUPS,
    ABSENT_TILES,
)
"""The grid; before `tile` an update has none."""

UPDATE = OpSpec(
    name="Update",
    doc="The update cycle: W - lr * d^T x, summed over all leading dimensions.",
    inputs=("W", "x", "d", "lr"),
    outputs=("W2",),
    own=OWN,
    carries=("Update",),
    body=_BODY,
    shapes=update,
    work=work,
    matrix="update",
)
