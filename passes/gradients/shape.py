"""Gradients of ops that move or repeat numbers without changing them."""

from __future__ import annotations

import onnx_ir as ir

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
)
from rpucc.passes.graph_reader import int_of, known_shape
from rpucc.passes.window import ints


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
    mode = text_of(node, "mode", "DCR")
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


def tile(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Sum g over the copies: each repeated axis is seen as [copies, size]."""
    x, repeats = input_of(node), constant_ints(node, 1) or []
    parts: list[int] = []
    copies: list[int] = []
    for axis, (size, count) in enumerate(zip(known_shape(x), repeats, strict=True)):
        if count > 1:
            copies.append(len(parts))
            parts.append(count)
        # Of the batch 0 keeps the size where it is; elsewhere -1 infers it.
        parts.append(size if isinstance(size, int) else 0 if axis == len(parts) else -1)
    if not copies:
        return [the(g)]
    return [e.reshape_like(e.reduce_sum(e.reshape(the(g), parts), copies), x)]
