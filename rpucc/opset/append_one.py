"""AppendOne: the input line of a bias that is kept on the array."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.op_shapes import Attributes, Shape, check_rank
from rpucc.op_spec import Interval, OpSpec

_BODY = """
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


def append_one(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[.., C] -> [.., C+1]."""
    (x,) = inputs
    check_rank("x", x, 1)
    return [[*x[:-1], x[-1] + 1 if isinstance(x[-1], int) else None]]


def _interval(node: ir.Node, inputs: list[Interval]) -> Interval:
    return min(inputs[0][0], 1.0), max(inputs[0][1], 1.0)


APPEND_ONE = OpSpec(
    name="AppendOne",
    doc="Append an input line that is always 1, for a bias kept on the array.",
    inputs=("x",),
    outputs=("x1",),
    body=_BODY,
    shapes=append_one,
    interval=_interval,
    exact=True,
    local=True,
)
