"""Assign and Collect: the positions of a sample, shared out among copies that learn apart.

RAPA (Rasch, Gokmen, Rigotti & Haensch 2019, arXiv 1807.01356).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.layers import MOST_TILES
from rpucc.node_attributes import integers, whole
from rpucc.op_shapes import Attributes, Shape, ints_of
from rpucc.op_spec import Interval, OpSpec, with_zero

_ASSIGN = """
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
_COLLECT = """
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


def assign(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, P, C] -> [N, n, Q, C]."""
    (x,) = inputs
    copies = ints_of(attributes, "copies")
    if len(x) != 3 or len(copies) != 1 or copies[0] < 1:
        raise ValueError(f"x must be [N, P, C] and copies one number, found {x} and {copies}")
    each = -(-x[1] // copies[0]) if isinstance(x[1], int) else None
    return [[x[0], copies[0], each, x[2]]]


def collect(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, n, Q, R] -> [N, P, R]."""
    (shares,) = inputs
    positions = ints_of(attributes, "positions")
    if len(shares) != 4 or len(positions) != 1:
        raise ValueError(f"shares must be [N, n, Q, R] and positions one number, found {shares}")
    n, each = shares[1:3]
    if isinstance(n, int) and isinstance(each, int) and each != -(-positions[0] // n):
        raise ValueError(f"{positions[0]} positions are not {n} shares of {each}")
    return [[shares[0], positions[0], shares[3]]]


def _interval(node: ir.Node, inputs: list[Interval]) -> Interval:
    return inputs[0]


_LAYER = whole("layer", 0, MOST_TILES - 1, 0, "in the place of a tile's id in the address of draws")

ASSIGN = OpSpec(
    name="Assign",
    doc="Share the positions of each sample out among copies of a layer; zeros fill the last "
    "shares. Here in order; on the machine at random, anew for every sample.",
    inputs=("x",),
    outputs=("shares",),
    own=(integers("copies", 1, "one number: the copies", length=1), _LAYER),
    body=_ASSIGN,
    shapes=assign,
    interval=with_zero,
    local=True,
)
COLLECT = OpSpec(
    name="Collect",
    doc="Undo Assign: bring what the copies did back into the order of the positions.",
    inputs=("shares",),
    outputs=("y",),
    own=(integers("positions", 1, "one number: P", length=1), _LAYER),
    body=_COLLECT,
    shapes=collect,
    interval=_interval,
    local=True,
)
