"""Im2col, its line of ones and its adjoint as instructions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.errors import RpuccError
from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.chains import FoldChain, UnrollChain
from rpucc.runtime.fits import require
from rpucc.runtime.kernels.windows import (
    col2im,
    col2im_points,
    im2col,
    im2col_points,
    window_index,
    window_starts,
)

# Operations (see `threads.py`) an element that is copied.
WORK = 8


def build_im2col(builder: Builder, node: ir.Node) -> Instruction:
    """Copy every window of an image into a row."""
    return _im2col(builder, node, node.outputs[0], extra=0)


def build_im2col_chain(builder: Builder, chain: UnrollChain) -> Instruction:
    """Im2Col then AppendOne."""
    unroll, append = chain.nodes
    return _im2col(builder, unroll, append.outputs[0], extra=1)


def build_append_one(builder: Builder, node: ir.Node) -> Instruction:
    """Copy into a buffer whose last column is 1 from the start."""
    x = builder.array(node.inputs[0])
    out = builder.new(node.outputs[0], (*x.shape[:-1], x.shape[-1] + 1))
    out[..., -1] = 1
    body = out[..., :-1]
    return lambda: np.copyto(body, x)


def build_col2im_chain(builder: Builder, chain: FoldChain) -> Instruction:
    """(Slice,) Transpose, Col2Im: add the rows' windows back without copying them first."""
    nodes, node = chain.nodes, chain.nodes[-1]
    cols = builder.array(nodes[0].inputs[0])
    image_shape = builder.constant(node.inputs[1])
    block_shape = builder.constant(node.inputs[2])
    if image_shape is None or block_shape is None:
        raise RpuccError(f"node '{node.name}': Col2Im needs constant shapes")
    space = [int(v) for v in image_shape]
    taps = [int(v) for v in block_shape]
    width = cols.shape[2] - (1 if len(nodes) == 3 else 0)
    channels = width // int(np.prod(taps))
    out = builder.new(node.outputs[0], (cols.shape[0], channels, *space))
    index, starts = _index(node, space, taps)
    fits = cols.ndim == 3 and cols.dtype == np.float32 and cols.shape[1] == len(index)
    fits = fits and width == channels * index.shape[1]
    require(node, fits, f"its columns {list(cols.shape)} are not those of its windows")
    flat = out.reshape(cols.shape[0], channels, -1)
    if _is_every_point(index, flat.shape[2]):
        return builder.split(
            len(flat), WORK * cols.size, lambda a, b: col2im_points(cols, flat, a, b)
        )
    return builder.split(
        len(flat), WORK * cols.size, lambda a, b: col2im(cols, flat, index, starts, a, b)
    )


def _im2col(builder: Builder, node: ir.Node, output: ir.Value, extra: int) -> Instruction:
    x = builder.array(node.inputs[0])
    batch, channels, *space = x.shape
    taps = [int(v) for v in node.attributes["kernel_shape"].as_ints()]
    fits = x.dtype == np.float32 and len(space) == len(taps)
    require(node, fits, f"its input {x.dtype}{list(x.shape)} does not fit its windows")
    index, starts = _index(node, space, taps)
    out = builder.new(output, (batch, index.shape[0], channels * index.shape[1] + extra))
    flat = x.reshape(batch, channels, -1)
    if _is_every_point(index, flat.shape[2]):
        return builder.split(
            batch, WORK * out.size, lambda a, b: im2col_points(flat, out, extra, a, b)
        )
    return builder.split(
        batch, WORK * out.size, lambda a, b: im2col(flat, out, index, starts, extra, a, b)
    )


def _is_every_point(index: NDArray[np.int32], space: int) -> bool:
    """Whether the window is a single tap that goes through all of the image in order."""
    return index.shape == (space, 1) and bool(np.array_equal(index[:, 0], np.arange(space)))


def _index(
    node: ir.Node, space: Sequence[int], taps: Sequence[int]
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    rank = len(space)

    def ints(name: str, default: Sequence[int]) -> list[int]:
        return [int(v) for v in node.attributes.get_ints(name, tuple(default))]

    dilations = ints("dilations", [1] * rank)
    index = window_index(
        space, taps, ints("strides", [1] * rank), ints("pads", [0] * 2 * rank), dilations
    )
    return index, window_starts(index, int(taps[-1]) if dilations[-1] == 1 else 1)
