"""Activations, pooling and their gradients as one pass each: `chains/turns.py` says where."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from rpucc.runtime.builder import Builder, Instruction
from rpucc.runtime.chains import Slope, Turn
from rpucc.runtime.digital.pooling import pool_windows
from rpucc.runtime.fits import require
from rpucc.runtime.kernels import activations as kernels

Array = NDArray[Any]

# Operations (see `threads.py`) an element.
WORK = 16


@dataclass(frozen=True)
class Pooled:
    """What the way back through a pool needs: pooled values and where they lay [N, Q, R], taps."""

    values: Array
    winners: Array
    taps: Array


def build_turn(builder: Builder, turn: Turn) -> Instruction:
    """[N, P, R] as it was read -> activated, perhaps max pooled, [N, R, Q] as images are."""
    first = turn.nodes[0]
    y = builder.array(first.inputs[0])
    require(first, y.ndim == 3 and y.dtype == np.float32, f"reads {list(y.shape)}")
    batch, positions, channels = y.shape
    kind = turn.kind
    if turn.pool is None:
        shape = builder.shape(turn.image) or (batch, channels, positions)
        out = builder.new(turn.image, shape).reshape(batch, channels, positions)
        return builder.split(
            batch, WORK * y.size, lambda a, b: kernels.turn_and_activate(y, out, kind, a, b)
        )
    shape = builder.shape(turn.pool.outputs[0]) or ()
    out = builder.new(turn.pool.outputs[0], shape).reshape(batch, channels, -1)
    image = builder.shape(turn.image) or ()
    fits = image[:2] == (batch, channels) and math.prod(image[2:]) == positions
    require(turn.nodes[1], fits, f"makes an image {list(image)} of {list(y.shape)}")
    taps = np.ascontiguousarray(pool_windows(turn.pool, image[2:], shape[2:]).T)
    pooled = np.zeros((batch, out.shape[2], channels), np.float32)
    winners = np.zeros(pooled.shape, np.int32)
    turn.kept = Pooled(pooled, winners, taps)
    return builder.split(
        batch,
        WORK * y.size,
        lambda a, b: kernels.pool_and_activate(y, pooled, winners, out, taps, kind, a, b),
    )


def build_slope(builder: Builder, slope: Slope) -> Instruction:
    """The way back: d = g f'(x) from y = f(x)."""
    g = builder.array(slope.gradient)
    out = slope.nodes[-1].outputs[0]
    kind, batch = slope.kind, len(g)
    rows = g.reshape(batch, -1)
    if slope.turn is not None:
        return _through_pool(builder, slope, slope.turn, rows, out)
    y = builder.array(slope.y)
    _check(slope, rows, len(y), y[:1].size)
    if not slope.turned:
        flat = y.reshape(batch, -1)
        d = builder.new(out, y.shape).reshape(batch, -1)
        return builder.split(
            batch,
            WORK * y.size,
            lambda a, b: kernels.activation_gradient(rows, flat, d, kind, a, b),
        )
    image = y.reshape(batch, y.shape[1], -1)
    d = builder.new(out, (batch, image.shape[2], image.shape[1]))
    return builder.split(
        batch, WORK * y.size, lambda a, b: kernels.turn_gradient(rows, image, d, kind, a, b)
    )


def _through_pool(
    builder: Builder, slope: Slope, turn: Turn, g: Array, out: ir.Value
) -> Instruction:
    kept: Pooled = turn.kept
    batch, _, channels = kept.values.shape
    _check(slope, g, batch, kept.values[:1].size)
    shape = builder.shape(turn.image) or ()
    d = builder.new(out, (batch, math.prod(shape[2:]), channels))
    inside = kept.taps[kept.taps >= 0]
    disjoint = len(np.unique(inside)) == len(inside)
    pooled, winners, taps, kind = kept.values, kept.winners, kept.taps, slope.kind

    def run(a: int, b: int, row: Array) -> None:
        kernels.pool_gradient(g, pooled, winners, d, taps, disjoint, kind, row, a, b)

    return builder.split(batch, WORK * d.size, run, lambda: np.empty(channels, np.float32))


def _check(slope: Slope, rows: Array, batch: int, width: int) -> None:
    fits = rows.dtype == np.float32 and len(rows) == batch and rows.shape[1] >= width
    found = f"its gradient has {list(rows.shape)}, not [{batch}, {width}]"
    require(slope.nodes[-1], fits, found)
