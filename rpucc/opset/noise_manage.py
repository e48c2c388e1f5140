"""NoiseManage and Rescale: each read scaled into the range of the converters, and back.

Gokmen, Onen & Haensch 2017 (arXiv 1705.08014).
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.cost.operations import Node, Operations
from rpucc.node_attributes import cuts, word
from rpucc.op_shapes import Attributes, Shape, agree, check_cuts, check_rank, ints_of
from rpucc.op_spec import CUTS, Interval, OpSpec

_NOISE_MANAGE = """
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
_RESCALE = """
{
  last     = Constant <value_ints = [-1]> ()
  factor   = Unsqueeze (s, last)
  rescaled = Mul (y, factor)
}
"""


def noise_manage(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """x [.., C] -> xs [.., C], s [.., S]."""
    (x,) = inputs
    check_rank("x", x, 1)
    cuts = ints_of(attributes, "cuts")
    check_cuts("cuts", cuts, x[-1])
    if attributes.get("mode", "abs-max") != "abs-max":
        raise ValueError(f"mode must be 'abs-max', found {attributes['mode']!r}")
    return [list(x), [*x[:-1], len(cuts) - 1]]


def rescale(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """y [.., S, R], s [.., S] -> [.., S, R]."""
    y, s = inputs
    check_rank("y", y, 2)
    if len(s) != len(y) - 1:
        raise ValueError(f"s must have one dimension less than y, found {len(s)} and {len(y)}")
    agree("the segments of s are not those of y", s[-1], y[-2])
    return [list(y)]


def _interval(node: ir.Node, inputs: list[Interval]) -> Interval:
    return -1.0, 1.0


def _scale(node: Node) -> Operations:
    """Find max|x|, take its reciprocal, multiply by it."""
    return Operations(adds=node.input(), multiplies=node.input(), functions=node.output_of(1))


def _scale_back(node: Node) -> Operations:
    return Operations(multiplies=node.elementwise)


NOISE_MANAGE = OpSpec(
    name="NoiseManage",
    doc="Scale each column segment of x to a largest magnitude of 1; s is what it was divided by. "
    "A segment of zeros stays so, with s = 0.",
    inputs=("x",),
    outputs=("xs", "s"),
    own=(cuts("cuts", CUTS), word("mode", "abs-max")),
    body=_NOISE_MANAGE,
    shapes=noise_manage,
    work=_scale,
    interval=_interval,
    local=True,
)
RESCALE = OpSpec(
    name="Rescale",
    doc="Multiply the partial sums y by their segment's s.",
    inputs=("y", "s"),
    outputs=("rescaled",),
    body=_RESCALE,
    shapes=rescale,
    work=_scale_back,
)
