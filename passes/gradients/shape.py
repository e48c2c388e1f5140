"""Gradients of ops that move numbers without changing them."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from rpucc.passes.emit import int_of, known_shape
from rpucc.passes.gradients.context import (
    GradientEmitter,
    constant_ints,
    input_of,
    rank_of,
    refuse,
    the,
)
from rpucc.passes.window import ints

Gradients = list[ir.Value | None]
Found = Sequence[ir.Value | None]


def reshape(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Give g the input's shape (Reshape, Flatten, Squeeze, Unsqueeze)."""
    return [e.reshape_like(the(g), input_of(node))]


def transpose(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Permute back."""
    rank = rank_of(input_of(node))
    perm = ints(node, "perm", tuple(reversed(range(rank))))
    return [e.transpose(the(g), [perm.index(i) for i in range(rank)])]


def expand(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Sum g over the axes that were repeated."""
    return [e.unbroadcast(the(g), input_of(node))]


def depth_to_space(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Move the blocks of g back into the channels, in the order of the node's mode."""
    x = input_of(node)
    block = node.attributes["blocksize"].as_int()
    _, channels, height, width = known_shape(x)
    if not all(isinstance(d, int) for d in (channels, height, width)):
        refuse(node, f"its input {list(known_shape(x))} has a dynamic size")
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "DCR"
    inside = int(channels) // block**2  # type: ignore[arg-type]
    parts = e.reshape(the(g), [0, inside, int(height), block, int(width), block])  # type: ignore[arg-type]
    perm = [0, 3, 5, 1, 2, 4] if mode == "DCR" else [0, 1, 3, 5, 2, 4]
    return [e.reshape_like(e.transpose(parts, perm), x)]


def space_to_depth(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Move the channels of g back into blocks."""
    block = node.attributes["blocksize"].as_int()
    return [e.op("DepthToSpace", the(g), blocksize=block, mode="DCR")]


def concat(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Split g."""
    axis = node.attributes["axis"].as_int()
    sizes = [known_shape(input_of(node, i))[axis] for i in range(len(node.inputs))]
    if not all(isinstance(size, int) for size in sizes):
        refuse(node, f"it joins dynamic sizes {sizes}")
    parts = e.ops("Split", the(g), e.constant(sizes), outputs=_labels(e, len(sizes)), axis=axis)
    for i, part in enumerate(parts):
        part.shape = known_shape(input_of(node, i)).copy()
    return [part if e.wants(node, i) else None for i, part in enumerate(parts)]


def _labels(e: GradientEmitter, count: int) -> list[str]:
    return [f"{e.scope}.{i}" for i in range(count)]


def split(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Concat the parts; zeros for a part that nothing depends on."""
    parts = []
    for value, gradient in zip(node.outputs, g, strict=True):
        if gradient is None:
            size = e.op("Shape", value)
            gradient = e.op("Expand", e.like(value, 0.0), size, shape=value.shape)
        parts.append(gradient)
    return [e.op("Concat", *parts, axis=int_of(node, "axis", 0))]


def slice_(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Pad g with zeros, for steps of 1 and constant bounds."""
    x = input_of(node)
    starts, ends = constant_ints(node, 1) or [], constant_ints(node, 2) or []
    axes = constant_ints(node, 3) or list(range(len(starts)))
    if any(step != 1 for step in constant_ints(node, 4) or []):
        refuse(node, "only steps of 1 have one")
    shape, rank = known_shape(x), rank_of(x)
    before, after = [0] * rank, [0] * rank
    for start, end, axis in zip(starts, ends, axes, strict=True):
        size = shape[axis]
        if not isinstance(size, int):
            refuse(node, f"it cuts the dynamic dimension {axis} of {shape}")
        first, last, _ = slice(start, end).indices(size)
        before[axis % rank], after[axis % rank] = first, size - last
    return [e.op("Pad", the(g), e.constant(before + after), shape=shape)]


def pad(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Cut the padding off, for constant mode and pads that add."""
    mode = node.attributes["mode"].as_string() if "mode" in node.attributes else "constant"
    x, pads = input_of(node), constant_ints(node, 1) or []
    if mode != "constant" or min(pads, default=0) < 0:
        refuse(node, f"mode {mode!r} with pads {pads} is not supported")
    count = len(pads) // 2
    axes = constant_ints(node, 3) or list(range(count))
    cut = [i for i in range(count) if pads[i] or pads[i + count]]
    if not cut:
        return [the(g)]
    largest = 2**63 - 1
    starts = [pads[i] for i in cut]
    ends = [-pads[i + count] if pads[i + count] else largest for i in cut]
    bounds = (e.constant(starts), e.constant(ends), e.constant([axes[i] for i in cut]))
    return [e.op("Slice", the(g), *bounds, shape=known_shape(x))]
