"""Im2Col: the windows of a kernel as rows of a matrix."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from rpucc.node_attributes import integers
from rpucc.op_shapes import Attributes, Shape, ints_of
from rpucc.op_spec import Interval, OpSpec, with_zero

_BODY = """
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


def conv_positions(
    space: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
) -> list[int]:
    """Return the number of kernel positions along each axis (floor, as ONNX Conv).

    >>> conv_positions([28, 28], [5, 5], [1, 1], [0, 0, 0, 0], [1, 1])
    [24, 24]
    """
    rank = len(kernel)
    return [
        (space[i] + pads[i] + pads[i + rank] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
        for i in range(rank)
    ]


def im2col(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """[N, C, *space] -> [N, P, C*K]."""
    (X,) = inputs
    kernel, strides = ints_of(attributes, "kernel_shape"), ints_of(attributes, "strides")
    pads, dilations = ints_of(attributes, "pads"), ints_of(attributes, "dilations")
    rank = len(kernel)
    if (
        not rank
        or len(X) != rank + 2
        or not len(strides) == len(dilations) == rank
        or len(pads) != 2 * rank
    ):
        raise ValueError(
            f"an input of rank {len(X)} does not fit kernel_shape {kernel}, strides {strides}, "
            f"pads {pads}, dilations {dilations}"
        )
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise ValueError(
            f"sizes and steps must be 1 or more, pads 0 or more, found {kernel}, "
            f"{strides}, {dilations}, {pads}"
        )
    columns = X[1] * math.prod(kernel) if isinstance(X[1], int) else None
    space = [d for d in X[2:] if isinstance(d, int)]
    if len(space) < rank:
        return [[X[0], None, columns]]
    positions = conv_positions(space, kernel, strides, pads, dilations)
    if min(positions) < 1:
        raise ValueError(f"kernel_shape {kernel} with pads {pads} is larger than the input {space}")
    return [[X[0], math.prod(positions), columns]]


def _interval(node: ir.Node, inputs: list[Interval]) -> Interval:
    padded = any(node.attributes.get_ints("pads", ()))
    return with_zero(node, inputs) if padded else inputs[0]


IM2COL = OpSpec(
    name="Im2Col",
    doc="Lay each kernel window of X out as one row: [N, C, *space] -> [N, P, C*K], channels "
    "major, kernel taps minor, the order of ONNX Col2Im.",
    inputs=("X",),
    outputs=("cols",),
    own=(
        integers("kernel_shape", 1, "taps an axis"),
        integers("strides", 1, "step an axis"),
        integers("pads", 0, "zeros before each axis, then after each axis"),
        integers("dilations", 1, "distance between taps an axis"),
    ),
    body=_BODY,
    shapes=im2col,
    interval=_interval,
    exact=True,
    local=True,
)
