"""Pooling forward, and the scatter that is max pooling's gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.runtime.backend import Native
from rpucc.runtime.builder import Builder, Instruction, Shapes
from rpucc.runtime.kernels.windows import max_pool, scatter_add, window_index

Array = NDArray[Any]


def _max_pool(builder: Builder, node: ir.Node) -> Instruction:
    x = builder.array(node.inputs[0])
    shape = builder.shape(node.outputs[0]) or ()
    index = pool_windows(node, x.shape[2:], shape[2:])
    out = builder.new(node.outputs[0], shape)
    if len(node.outputs) > 1:
        winners = builder.new(node.outputs[1], shape, np.int64)
    else:
        winners = np.zeros(shape, np.int64)
    places = np.ascontiguousarray(index.T)
    flat = x.reshape(*x.shape[:2], -1)
    flat_out, flat_winners = out.reshape(*flat.shape[:2], -1), winners.reshape(*flat.shape[:2], -1)
    return builder.split(
        len(x), 16 * x.size, lambda a, b: max_pool(flat, flat_out, flat_winners, places, a, b)
    )


def pool_windows(
    pool: ir.Node, space: Sequence[int], out_space: Sequence[int]
) -> NDArray[np.int32]:
    """The index table (see `kernels.windows`) of a pool's windows over `space`."""
    rank = len(space)
    attributes = pool.attributes
    return window_index(
        space,
        attributes["kernel_shape"].as_ints(),
        attributes.get_ints("strides", (1,) * rank),
        attributes.get_ints("pads", (0,) * 2 * rank),
        attributes.get_ints("dilations", (1,) * rank),
        out_space,
    )


def _poolable(shapes: Shapes, node: ir.Node) -> bool:
    x, shape = shapes.array(node.inputs[0]), shapes.shape(node.outputs[0])
    return (
        x.dtype == np.float32
        and x.ndim >= 3
        and shape is not None
        and node.attributes.get_int("storage_order", 0) == 0
        and node.attributes.get_string("auto_pad", "NOTSET") in ("NOTSET", "VALID")
        # With ceil_mode, shape inference counts windows that lie beyond the image; kernels do not.
        and bool((pool_windows(node, x.shape[2:], shape[2:]) >= 0).any(axis=1).all())
    )


def _scatter(builder: Builder, node: ir.Node) -> Instruction:
    start, index, updates = (builder.array(v) for v in node.inputs)
    out = builder.new(node.outputs[0], start.shape)
    return lambda: scatter_add(start, index, updates, out)


def _scatters_flat(shapes: Shapes, node: ir.Node) -> bool:
    start, index, updates = (shapes.array(v) for v in node.inputs)
    return (
        start.ndim == 1
        and start.dtype == updates.dtype == np.float32
        and index.dtype == np.int64
        and index.ndim == 1
        and index.shape == updates.shape
        and node.attributes.get_int("axis", 0) == 0
        and _pooled_elements(shapes, node.inputs[1]) <= start.size
        and node.attributes.get_string("reduction", "none") == "add"
    )


def _pooled_elements(shapes: Shapes, value: ir.Value | None) -> float:
    """How many elements the Indices of a MaxPool count; infinite where a value is none of these."""
    node = value.producer() if value is not None else None
    while node is not None and node.op_type in ("Reshape", "Flatten", "Identity"):
        value = node.inputs[0]
        node = value.producer() if value is not None else None
    if node is None or node.op_type != "MaxPool" or node.inputs[0] is None:
        return math.inf
    return shapes.array(node.inputs[0]).size


POOLING: dict[str, Native] = {
    "MaxPool": Native(_max_pool, _poolable),
    "ScatterElements": Native(_scatter, _scatters_flat),
}
