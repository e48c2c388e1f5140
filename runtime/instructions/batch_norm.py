"""Instructions of BatchNorm and its gradient.

Whether a step trains is known when its instructions are made: an executor has one mode.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rpucc.errors import RpuccError
from rpucc.runtime.builder import Buffer, Builder, Instruction
from rpucc.runtime.fits import require
from rpucc.runtime.instructions.modes import is_training
from rpucc.runtime.kernels.batch_norm import batch_norm_gradient, batch_statistics, normalise

OPERATIONS = 8
"""Of each pass over the values, in multiply-adds of a matrix product: they wait for memory."""


def build_batch_norm(builder: Builder, node: ir.Node) -> Instruction:
    """Statistics of the batch in a step of training, the running ones in an evaluation."""
    x, scale, bias, mean, var, _ = (builder.array(value) for value in node.inputs)
    training = is_training(builder, node, node.inputs[5])
    _check(node, x, scale, bias, mean, var)
    y = builder.new(node.outputs[0], x.shape)
    mean2, var2, centre, deviation = (builder.new(v, scale.shape) for v in node.outputs[1:])
    flat, flat_y = _by_channel(x), _by_channel(y)
    C, count = x.shape[1], x.size // x.shape[1]
    epsilon = np.float32(node.attributes.get_float("epsilon", 1e-5))
    momentum = float(np.float32(node.attributes.get_float("momentum", 0.9)))

    def train(a: int, b: int) -> None:
        batch_statistics(flat, mean, var, momentum, epsilon, mean2, var2, centre, deviation, a, b)
        normalise(flat, scale, bias, centre, deviation, flat_y, a, b)

    def evaluate(a: int, b: int) -> None:
        for to, of in ((mean2, mean), (var2, var), (centre, mean)):
            to[a:b] = of[a:b]
        np.sqrt(var[a:b] + epsilon, out=deviation[a:b])
        normalise(flat, scale, bias, centre, deviation, flat_y, a, b)

    if not training:
        return builder.split(C, OPERATIONS * x.size, evaluate)
    if count == 1:
        raise RpuccError(
            f"node '{node.name}' (BatchNorm): a channel has one number only in a step of "
            f"{len(x)} sample, and no statistics: train with a larger batch (--batch-size) that "
            "leaves no single sample over, or with the file's statistics "
            '(batch_norm.policy = "frozen")'
        )
    return builder.split(C, 3 * OPERATIONS * x.size, train)


def build_batch_norm_gradient(builder: Builder, node: ir.Node) -> Instruction:
    """Of x, scale and bias."""
    d, x, scale, centre, deviation, _ = (builder.array(value) for value in node.inputs)
    training = float(is_training(builder, node, node.inputs[5]))
    _check(node, x, scale, centre, deviation)
    require(node, d.shape == x.shape and d.dtype == x.dtype, "d and x are not alike")
    dx = builder.new(node.outputs[0], x.shape)
    dscale, dbias = (builder.new(value, scale.shape) for value in node.outputs[1:])
    flat_d, flat, flat_dx = _by_channel(d), _by_channel(x), _by_channel(dx)
    return builder.split(
        x.shape[1],
        3 * OPERATIONS * x.size,
        lambda a, b: batch_norm_gradient(
            flat_d, flat, scale, centre, deviation, training, flat_dx, dscale, dbias, a, b
        ),
    )


def _check(node: ir.Node, x: Buffer, *vectors: Buffer) -> None:
    alike = all(v.shape == x.shape[1:2] and v.dtype == np.float32 for v in vectors)
    require(node, x.ndim > 1 and x.size > 0 and x.dtype == np.float32, f"x is {list(x.shape)}")
    require(node, alike, f"x is {list(x.shape)}, and what is one number a channel is not")


def _by_channel(x: Buffer) -> Buffer:
    """[N, C, *space] -> [N, C, S], a view."""
    return x.reshape(*x.shape[:2], -1)
