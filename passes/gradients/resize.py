"""The gradient of Resize: along every axis it multiplies by a constant matrix.

y = x Aᵀ along an axis, A [output size, input size] from the ONNX definition of the coordinates;
so dx = g A. Nearest and linear, every coordinate mode but the cropping one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.passes.emit import constant_of, int_of, known_shape
from rpucc.passes.gradients.context import GradientEmitter, input_of, refuse, the
from rpucc.passes.window import ints

Gradients = list[ir.Value | None]
Found = Sequence[ir.Value | None]

ROUND = {
    "round_prefer_floor": lambda x: math.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: math.floor(x + 0.5),
    "floor": math.floor,
    "ceil": math.ceil,
}


def resize(e: GradientEmitter, node: ir.Node, g: Found) -> Gradients:
    """Multiply g by each resized axis's matrix."""
    x, dx = input_of(node), the(g)
    before, after = list(known_shape(x)), list(known_shape(node.outputs[0]))
    scales = _scales(node, before, after)
    for axis, (size, out, scale) in enumerate(zip(before, after, scales, strict=True)):
        if size == out and scale == 1:
            continue
        if not (isinstance(size, int) and isinstance(out, int)):
            refuse(node, f"axis {axis} changes between sizes {size} and {out} that are not static")
        matrix = interpolation(node, size, out, scale)
        order = [i for i in range(len(before)) if i != axis] + [axis]
        product = e.op(
            "MatMul", e.transpose(dx, order), e.constant(matrix, x.dtype or ir.DataType.FLOAT)
        )
        dx = e.transpose(product, [order.index(i) for i in range(len(order))])
    return [dx]


def _text(node: ir.Node, name: str, default: str) -> str:
    return node.attributes[name].as_string() if name in node.attributes else default


def _scales(node: ir.Node, before: Sequence[object], after: Sequence[object]) -> list[float]:
    """The factor of each axis: as given, or output by input size where sizes are."""
    scales = [
        b / a if isinstance(a, int) and isinstance(b, int) else 1.0
        for a, b in zip(before, after, strict=True)
    ]
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        given = constant_of(node.inputs[2])
        if given is None:
            refuse(node, "its scales are computed, not constant")
        if given.size:
            axes = ints(node, "axes", tuple(range(len(scales))))
            for axis, value in zip(axes, given.flatten(), strict=True):
                scales[axis] = float(value)
    return scales


def interpolation(node: ir.Node, size: int, out: int, scale: float) -> NDArray[np.float64]:
    """[out, size]: how much of each input lies in each output of one axis."""
    mode = _text(node, "mode", "nearest")
    coordinates = _text(node, "coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear") or int_of(node, "antialias", 0):
        refuse(node, f"mode '{mode}'{' with antialias' * int_of(node, 'antialias', 0)}")
    if coordinates == "tf_crop_and_resize" or int_of(node, "exclude_outside", 0):
        refuse(node, f"coordinate_transformation_mode '{coordinates}' or exclude_outside")
    rounded = ROUND[_text(node, "nearest_mode", "round_prefer_floor")]
    matrix = np.zeros((out, size))
    for i in range(out):
        at = _coordinate(coordinates, i, size, out, scale)
        if mode == "nearest":
            matrix[i, min(max(int(rounded(at)), 0), size - 1)] = 1
            continue
        low = math.floor(at)
        for j, weight in ((low, 1 - (at - low)), (low + 1, at - low)):
            matrix[i, min(max(j, 0), size - 1)] += weight
    return matrix


def _coordinate(mode: str, i: int, size: int, out: int, scale: float) -> float:
    """Where output i lies on the input's axis (ONNX's coordinate_transformation_mode)."""
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return i * (size - 1) / (out - 1) if out > 1 else 0.0
    if mode == "pytorch_half_pixel" and out == 1:
        return 0.0
    at = (i + 0.5) / scale - 0.5
    if mode == "half_pixel_symmetric":
        return at + size / 2 * (1 - out / (scale * size))
    return at
