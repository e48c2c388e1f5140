"""Writing Col2Im: the sum of windows back to where they came from.

Used by the gradient of im2col and by the forward cycle of transposed convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from rpucc.passes.graph_reader import known_shape
from rpucc.passes.graph_writer import Emitter
from rpucc.passes.window import Window


def col2im(
    e: Emitter, columns: ir.Value, channels: int, window: Window, *, out: str = ""
) -> ir.Value:
    """Emit Col2Im of [N, channels·K, P] to [N, channels, *window.space]."""
    batch = known_shape(columns)[0]
    if window.rank != 2 and max(window.dilations) > 1:
        columns, window = _without_dilation(e, columns, channels, window)
    return e.op(
        "Col2Im",
        columns,
        e.constant(window.space),
        e.constant(window.kernel),
        out=out,
        shape=ir.Shape([batch, channels, *window.space]),
        strides=list(window.strides),
        pads=list(window.pads),
        dilations=list(window.dilations),
    )


def _without_dilation(
    e: Emitter, columns: ir.Value, channels: int, window: Window
) -> tuple[ir.Value, Window]:
    """Fill the gaps of a dilated kernel with taps of zero.

    onnxruntime's Col2Im is wrong for dilations in 1 and 3 dimensions (its issue 18156; still so
    in 1.32), right in 2 dimensions.
    """
    N = known_shape(columns)[0]
    taps, positions = math.prod(window.kernel), math.prod(window.positions)
    reach = tuple(d * (k - 1) + 1 for k, d in zip(window.kernel, window.dilations, strict=True))
    source = np.full(reach, taps)  # the index of the appended zero
    source[_every(window.dilations)] = np.arange(taps).reshape(window.kernel)
    by_tap = e.reshape(columns, [-1, channels, taps, positions])
    with_zero = e.op("Pad", by_tap, e.constant([0, 0, 0, 0, 0, 0, 1, 0]))
    filled = e.op("Gather", with_zero, e.constant(source.reshape(-1)), axis=2)
    flat = e.reshape(filled, [-1, channels * source.size, positions])
    flat.shape = ir.Shape([N, channels * source.size, positions])
    return flat, replace(window, kernel=reach, dilations=(1,) * window.rank)


def _every(steps: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(None, None, step) for step in steps)
