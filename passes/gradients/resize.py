"""The gradient of Resize: along every axis it multiplies by a constant matrix.

y = x Aᵀ along an axis, A [output size, input size] from the ONNX definition of the coordinates;
so dx = g A. Nearest, linear and cubic, every coordinate mode but the cropping one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.passes.gradients.context import (
    Found,
    GradientEmitter,
    Gradients,
    float_of,
    input_of,
    refuse,
    text_of,
    the,
    times_matrix,
)
from rpucc.passes.graph_reader import constant_of, int_of, known_shape
from rpucc.passes.window import ints

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
        dx = times_matrix(e, dx, interpolation(node, size, out, scale), axis)
    return [dx]


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
    mode = text_of(node, "mode", "nearest")
    coordinates = text_of(node, "coordinate_transformation_mode", "half_pixel")
    if mode not in ("nearest", "linear", "cubic") or int_of(node, "antialias", 0):
        refuse(node, f"mode '{mode}'{' with antialias' * int_of(node, 'antialias', 0)}")
    if coordinates == "tf_crop_and_resize" or int_of(node, "exclude_outside", 0):
        refuse(node, f"coordinate_transformation_mode '{coordinates}' or exclude_outside")
    rounded = ROUND[text_of(node, "nearest_mode", "round_prefer_floor")]
    matrix = np.zeros((out, size))
    for i in range(out):
        at = _coordinate(coordinates, i, size, out, scale)
        if mode == "nearest":
            matrix[i, min(max(int(rounded(at)), 0), size - 1)] = 1
            continue
        for j, weight in _taps(node, mode, at):
            matrix[i, min(max(j, 0), size - 1)] += weight
    return matrix


def _taps(node: ir.Node, mode: str, at: float) -> list[tuple[int, float]]:
    """Return the inputs around the coordinate `at` and their weights, which sum to 1."""
    low = math.floor(at)
    t = at - low
    if mode == "linear":
        return [(low, 1 - t), (low + 1, t)]
    a = float_of(node, "cubic_coeff_a", -0.75)
    return [(low + j, _cubic(abs(t - j), a)) for j in (-1, 0, 1, 2)]


def _cubic(d: float, a: float) -> float:
    """The weight at distance d (Keys 1981, doi 10.1109/TASSP.1981.1163711, equation 4)."""
    if d <= 1:
        return ((a + 2) * d - (a + 3)) * d * d + 1
    return a * (((d - 5) * d + 8) * d - 4)


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
