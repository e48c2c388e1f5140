"""Gradients of ops that pick entries along an axis: Slice, Pad, Gather, GatherElements.

All of them are y[m] = x[source[m]] along an axis; so dx[k] is the sum of g[m] with source[m] = k.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    constant_ints,
    input_of,
    rank_of,
    refuse,
    text_of,
    the,
    times_matrix,
)
from rpucc.passes.graph_reader import constant_of, int_of, known_shape

END = 2**63 - 1
"""The end of a Slice that goes to the end of its axis."""


def slice_(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Put g where it was cut out: zeros around it for steps of 1, entry by entry for others."""
    x, dx = input_of(node), the(g)
    starts, ends = constant_ints(node, 1) or [], constant_ints(node, 2) or []
    axes = constant_ints(node, 3) or list(range(len(starts)))
    steps = constant_ints(node, 4) or [1] * len(starts)
    shape, rank = known_shape(x), rank_of(x)
    before, after = [0] * rank, [0] * rank
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = shape[axis]
        if not isinstance(size, int):
            if start == 0 and end >= 2**31 - 1 and step == 1:
                continue  # exporters list the untouched batch among the axes
            refuse(node, f"it cuts the dynamic dimension {axis} of {shape}")
        picked = range(*slice(start, end, step).indices(size))
        if step == 1:
            before[axis % rank], after[axis % rank] = picked.start, size - picked.stop
        else:
            dx = _put_back(e, dx, np.array(picked), axis % rank, size)
    if any(before) or any(after):
        dx = e.op("Pad", dx, e.constant(before + after), shape=shape)
    return [dx]


def pad(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Cut the padding off; in the modes that copy entries, add each copy to its origin."""
    mode = text_of(node, "mode", "constant")
    x, pads = input_of(node), constant_ints(node, 1) or []
    count = len(pads) // 2
    axes = constant_ints(node, 3) or list(range(count))
    cut = [i for i in range(count) if pads[i] or pads[i + count]]
    if not cut:
        return [the(g)]
    if mode != "constant":
        return [_fold_padding(e, node, the(g), mode)]
    if min(pads) < 0:  # a negative pad cuts; padding by the opposite undoes both
        opposite = e.constant([-value for value in pads])
        return [e.op("Pad", the(g), opposite, None, e.constant(axes), shape=known_shape(x))]
    starts = [pads[i] for i in cut]
    ends = [-pads[i + count] if pads[i + count] else END for i in cut]
    bounds = (e.constant(starts), e.constant(ends), e.constant([axes[i] for i in cut]))
    return [e.op("Slice", the(g), *bounds, shape=known_shape(x))]


def _fold_padding(e: GradientEmitter, node: ir.Node, g: ir.Value, mode: str) -> ir.Value:
    """Reflect, edge and wrap: numpy's pad of the same name says where each entry came from."""
    x, pads = input_of(node), constant_ints(node, 1) or []
    count, rank = len(pads) // 2, rank_of(x)
    axes = constant_ints(node, 3) or list(range(count))
    for i, axis in enumerate(axes):
        size, begin, end = known_shape(x)[axis], pads[i], pads[i + count]
        if not begin and not end:
            continue
        if not isinstance(size, int) or min(begin, end) < 0:
            refuse(node, f"mode '{mode}' with pads {pads} of {known_shape(x)}")
        source = np.pad(np.arange(size), (begin, end), mode=mode)  # type: ignore[call-overload]
        g = _put_back(e, g, source, axis % rank, size)
    return g


def gather(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Add each picked slice to where it came from, for constant indices."""
    x, indices = input_of(node), constant_of(input_of(node, 1))
    if e.wants(node, 0) and indices is None:
        refuse(node, f"its indices {input_of(node, 1).name!r} are computed, not constant")
    assert indices is not None
    axis = int_of(node, "axis", 0) % rank_of(x)
    size = known_shape(x)[axis]
    if not isinstance(size, int):
        refuse(node, f"it picks from the dynamic dimension {axis} of {known_shape(x)}")
    source = np.where(indices < 0, indices + size, indices).reshape(-1)
    flat = _with_axis(e, node, the(g), axis, source.size)
    return [_put_back(e, flat, source, axis, size), None]


def _with_axis(e: GradientEmitter, node: ir.Node, g: ir.Value, axis: int, count: int) -> ir.Value:
    """Give g [..., *indices, ...] one axis of `count` in the place of the indices' axes."""
    if rank_of(input_of(node, 1)) == 1:
        return g
    dims: list[int | ir.SymbolicDim] = list(known_shape(input_of(node)).dims)
    dims[axis] = count
    return e.reshape_like(g, ir.val("", g.dtype, ir.Shape(dims)))


def gather_elements(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Add each picked entry to where it came from; the indices may be computed."""
    x, indices = input_of(node, 0), input_of(node, 1)
    zeros = e.op("Expand", e.like(x, 0.0), e.op("Shape", x), shape=known_shape(x))
    axis = int_of(node, "axis", 0)
    return [e.op("ScatterElements", zeros, indices, the(g), axis=axis, reduction="add"), None]


def _put_back(
    e: GradientEmitter, g: ir.Value, source: NDArray[np.int64], axis: int, size: int
) -> ir.Value:
    """Sum g[m] with source[m] = k into entry k of `size` along `axis`.

    Where no entry was picked twice this is itself a Gather, from g with a zero behind it.
    """
    if len(set(source.tolist())) < source.size:
        return times_matrix(e, g, source[:, None] == np.arange(size), axis)
    origin = np.full(size, source.size)
    origin[source] = np.arange(source.size)
    if source.size < size:
        g = e.op("Pad", g, e.constant([0, 1]), None, e.constant([axis]))
    return e.op("Gather", g, e.constant(origin), axis=axis)
