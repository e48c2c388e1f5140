"""Instructions of Drop, which draws a mask in each step of training.

Whether a step trains is known when its instructions are made: an executor has one mode. Which draws
it makes is what the op's own input says when it runs.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from rpucc.opset.drop import bound_of, scale_of
from rpucc.runtime.builder import Buffer, Builder, Instruction
from rpucc.runtime.fits import require
from rpucc.runtime.instructions.modes import is_training
from rpucc.runtime.kernels.dropout import dropout
from rpucc.runtime.kernels.philox import GROUP

OPERATIONS = 16
"""Of each element, in multiply-adds of a matrix product: ten rounds for four words."""


def build_drop(builder: Builder, node: ir.Node) -> Instruction | None:
    """A mask and x · mask in a step of training; x itself in an evaluation."""
    x, draws = builder.array(node.inputs[0]), builder.array(node.inputs[2])
    training = is_training(builder, node, node.inputs[1])
    require(node, x.ndim > 0 and x.size > 0 and x.dtype == np.float32, f"x is {list(x.shape)}")
    fits = draws.shape == (3,) and draws.dtype == np.int64
    require(node, fits, f"its draws are {draws.dtype}{list(draws.shape)}, not int64[3]")
    if not training:
        builder.bind(node.outputs[0], x)
        builder.bind(node.outputs[1], np.broadcast_to(np.float32(1), x.shape))
        return None
    ratio, number = node.attributes["ratio"].as_float(), node.attributes.get_int("number", 0)
    bound, scale = bound_of(ratio), scale_of(ratio)
    y, mask = (builder.new(value, x.shape) for value in node.outputs)
    flat, flat_y, flat_mask = (_by_sample(each) for each in (x, y, mask))
    return builder.split(
        len(flat) * -(-flat.shape[1] // GROUP),
        OPERATIONS * x.size,
        lambda a, b, words: dropout(
            flat, flat_y, flat_mask, words, draws, number, bound, scale, a, b
        ),
        lambda: np.empty(GROUP, np.uint32),
    )


def _by_sample(x: Buffer) -> Buffer:
    """[N, ...] -> [N, E], a view."""
    return x.reshape(len(x), -1)
