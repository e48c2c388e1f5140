"""BatchNorm and BatchNormGradient: batch norms with the statistics of the minibatch.

The op is ONNX's BatchNormalization with its mode as an input, so that one graph is a step of
training and an evaluation: with `training` 1 the mean and variance are those of the batch, over
samples and positions, and the running ones follow them; with 0 the running ones are used and stay.
Source: Ioffe & Szegedy, arXiv 1502.03167, section 3; the running statistics are as ONNX defines
them: running · momentum + batch · (1 - momentum), with the population variance.

Not for which batch norm of a model gets one: that is `rpucc.passes.batch_statistics`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rpucc.cost.operations import Node, Operations
from rpucc.node_attributes import Attribute
from rpucc.op_shapes import Attributes, Shape, agree, check_rank
from rpucc.op_spec import OpSpec
from rpucc.target.values import Allowed

_BODY = """
{
  by_channel   = Constant <value_ints = [0, 0, -1]> ()
  around       = Constant <value_ints = [0, 2]> ()
  last         = Constant <value_ints = [1]> ()
  float_zero   = Constant <value_float = 0.0> ()
  zero         = CastLike (float_zero, x)
  float_one    = Constant <value_float = 1.0> ()
  one          = CastLike (float_one, x)
  float_eps    = Constant <value_float: float = @epsilon> ()
  eps          = CastLike (float_eps, x)
  float_old    = Constant <value_float: float = @momentum> ()
  old          = CastLike (float_old, x)
  new          = Sub (one, old)
  on           = Greater (training, zero)
  flat         = Reshape (x, by_channel)
  batch_mean   = ReduceMean <keepdims = 0> (flat, around)
  mean_column  = Unsqueeze (batch_mean, last)
  apart        = Sub (flat, mean_column)
  squares      = Mul (apart, apart)
  batch_var    = ReduceMean <keepdims = 0> (squares, around)
  centre       = Where (on, batch_mean, mean)
  variance     = Where (on, batch_var, var)
  above_zero   = Add (variance, eps)
  deviation    = Sqrt (above_zero)
  centres      = Unsqueeze (centre, last)
  deviations   = Unsqueeze (deviation, last)
  scales       = Unsqueeze (scale, last)
  biases       = Unsqueeze (bias, last)
  centred      = Sub (flat, centres)
  hat          = Div (centred, deviations)
  scaled       = Mul (hat, scales)
  flat_y       = Add (scaled, biases)
  x_shape      = Shape (x)
  y            = Reshape (flat_y, x_shape)
  old_mean     = Mul (mean, old)
  new_mean     = Mul (batch_mean, new)
  moved_mean   = Add (old_mean, new_mean)
  mean2        = Where (on, moved_mean, mean)
  old_var      = Mul (var, old)
  new_var      = Mul (batch_var, new)
  moved_var    = Add (old_var, new_var)
  var2         = Where (on, moved_var, var)
}
"""

_GRADIENT_BODY = """
{
  by_channel   = Constant <value_ints = [0, 0, -1]> ()
  around       = Constant <value_ints = [0, 2]> ()
  last         = Constant <value_ints = [1]> ()
  flat_x       = Reshape (x, by_channel)
  flat_d       = Reshape (d, by_channel)
  centres      = Unsqueeze (centre, last)
  deviations   = Unsqueeze (deviation, last)
  scales       = Unsqueeze (scale, last)
  centred      = Sub (flat_x, centres)
  hat          = Div (centred, deviations)
  along        = Mul (flat_d, hat)
  dscale       = ReduceSum <keepdims = 0> (along, around)
  dbias        = ReduceSum <keepdims = 0> (flat_d, around)
  mean_d       = ReduceMean <keepdims = 1> (flat_d, around)
  mean_along   = ReduceMean <keepdims = 1> (along, around)
  through_var  = Mul (hat, mean_along)
  through      = Add (mean_d, through_var)
  counted      = Mul (through, training)
  rest         = Sub (flat_d, counted)
  slopes       = Div (scales, deviations)
  flat_dx      = Mul (rest, slopes)
  x_shape      = Shape (x)
  dx           = Reshape (flat_dx, x_shape)
}
"""


def _check_channels(x: Shape, names: Sequence[str], vectors: Sequence[Shape]) -> None:
    check_rank("x", x, 2)
    for name, vector in zip(names, vectors, strict=True):
        if len(vector) != 1:
            raise ValueError(f"{name} must be [C], found rank {len(vector)}")
        agree(f"the length of {name} is not the channels of x", vector[0], x[1])


def _check_mode(training: Shape) -> None:
    if training:
        raise ValueError(f"training must be one number, found rank {len(training)}")


def batch_norm(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """X [N, C, *space], five of [C] or [] -> y [N, C, *space], four of [C]."""
    x, *vectors, training = inputs
    _check_channels(x, ("scale", "bias", "mean", "var"), vectors)
    _check_mode(training)
    return [list(x), *([x[1]] for _ in range(4))]


def gradient(attributes: Attributes, inputs: Sequence[Shape]) -> list[Shape]:
    """D, x [N, C, *space], three of [C], [] -> dx [N, C, *space], dscale [C], dbias [C]."""
    d, x, *vectors, training = inputs
    _check_channels(x, ("scale", "centre", "deviation"), vectors)
    _check_mode(training)
    if len(d) != len(x):
        raise ValueError(f"d and x must be alike, found {d} and {x}")
    for left, right in zip(d, x, strict=True):
        agree("d and x must be alike", left, right)
    return [list(x), [x[1]], [x[1]]]


def _work(n: Node) -> Operations:
    """Mean, variance and y = a · x + b of each element; two functions a channel.

    What is done once a batch (root, division, running statistics) is counted as at minibatch 1.
    """
    each = Operations(adds=4, multiplies=2) * n.input()
    return each + Operations(adds=4, multiplies=5, functions=2) * n.dim(1, 0)


def _gradient_work(n: Node) -> Operations:
    """The normalised value anew, two sums, and what is taken off d."""
    each = Operations(adds=5, multiplies=4) * n.input()
    return each + Operations(multiplies=2, functions=1) * n.dim(2, 0)


EPSILON = Attribute(
    "epsilon",
    "FLOAT",
    Allowed("a number from 0 to 1e6", lambda v: 0.0 <= v <= 1e6),
    1e-5,
    "added to the variance",
)
MOMENTUM = Attribute(
    "momentum",
    "FLOAT",
    Allowed("a number from 0 to 1", lambda v: math.isfinite(v) and 0.0 <= v <= 1.0),
    0.9,
    "the share of a running statistic that a step keeps",
)

BATCH_NORM = OpSpec(
    name="BatchNorm",
    doc="Normalise each channel: by the statistics of the batch where training is 1, which the "
    "running ones then follow; by the running ones where it is 0. Also gives the mean and the "
    "deviation that were used.",
    inputs=("x", "scale", "bias", "mean", "var", "training"),
    outputs=("y", "mean2", "var2", "centre", "deviation"),
    own=(EPSILON, MOMENTUM),
    body=_BODY,
    shapes=batch_norm,
    work=_work,
    exact=True,
)
BATCH_NORM_GRADIENT = OpSpec(
    name="BatchNormGradient",
    doc="The gradients of BatchNorm's x, scale and bias from that of its y, d, through the "
    "statistics of the batch where training is 1.",
    inputs=("d", "x", "scale", "centre", "deviation", "training"),
    outputs=("dx", "dscale", "dbias"),
    body=_GRADIENT_BODY,
    shapes=gradient,
    work=_gradient_work,
    exact=True,
)
