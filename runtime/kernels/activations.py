"""Activations around a convolution's reads, whose outputs lie channel last.

Forward: [N, P, R] as it was read -> activated, perhaps max pooled, [N, R, Q] as images are.
Backward: the gradient with respect to the one from that with respect to the other, in one pass.
Not for reads or windows (`read.py`, `windows.py`).
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.copies import copy
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.scalars import activations as scalars
from rpucc.runtime.scalars.activations import NONE, RELU, SIGMOID, TANH

__all__ = [
    "NONE",
    "RELU",
    "SIGMOID",
    "TANH",
    "activate",
    "activation_gradient",
    "pool_and_activate",
    "pool_gradient",
    "turn_and_activate",
    "turn_gradient",
]

f32 = nb.float32

# Rows that are turned together, so that both sides are read in whole cache lines.
TILE = 16

tanh = inlined(scalars.tanh)
relu = inlined(scalars.relu)
sigmoid = inlined(scalars.sigmoid)
slope = inlined(scalars.slope)


@kernel
def _activate(x, kind):
    """x = f(x) for a vector."""
    if kind == TANH:
        for i in range(x.shape[0]):
            x[i] = tanh(x[i])
    elif kind == RELU:
        for i in range(x.shape[0]):
            x[i] = relu(x[i])
    elif kind == SIGMOID:
        for i in range(x.shape[0]):
            x[i] = sigmoid(x[i])


@kernel
def activate(x, out, kind, n0, n1):
    """out[n] = f(x[n]) for rows n0 to n1 - 1 of two-dimensional arrays."""
    for n in range(n0, n1):
        row = out[n]
        copy(x[n], row)
        _activate(row, kind)


@kernel
def turn_and_activate(y, out, kind, n0, n1):
    """out[n, r, p] = f(y[n, p, r]) for samples n0 to n1 - 1."""
    positions, channels = y.shape[1], y.shape[2]
    for n in range(n0, n1):
        for p0 in range(0, positions, TILE):
            for r in range(channels):
                for p in range(p0, min(p0 + TILE, positions)):
                    out[n, r, p] = y[n, p, r]
        _activate(out[n].reshape(-1), kind)


@inlined
def _pool_row(y, taps, q, best, at):
    """best[r] = the largest of y[taps[:, q], r], at[r] = its position (the first of equals)."""
    started = False
    for t in range(taps.shape[0]):
        place = taps[t, q]
        if place < 0:
            continue
        values = y[place]
        if started:
            for r in range(best.shape[0]):
                wins = values[r] > best[r]
                best[r] = values[r] if wins else best[r]
                at[r] = place if wins else at[r]
        else:
            for r in range(best.shape[0]):
                best[r] = values[r]
                at[r] = place
            started = True


@kernel
def pool_and_activate(y, pooled, winners, out, taps, kind, n0, n1):
    """Max pooling of f(y), channel by channel: out[n, r, q] = max over t of f(y[n, taps[t, q], r]).

    y: [N, P, R]; pooled: [N, Q, R], out: [N, R, Q], both get the result; winners: int32
    [N, Q, R], the position of the largest y; taps: int32 [T, Q], -1 in the padding (each q has at
    least one tap). The maximum is taken before f, which never decreases: where f rounds different
    y to equal values, the largest y wins.
    """
    channels = y.shape[2]
    for n in range(n0, n1):
        for q in range(taps.shape[1]):
            _pool_row(y[n], taps, q, pooled[n, q], winners[n, q])
        _activate(pooled[n].reshape(-1), kind)
        for q0 in range(0, taps.shape[1], TILE):
            for r in range(channels):
                for q in range(q0, min(q0 + TILE, taps.shape[1])):
                    out[n, r, q] = pooled[n, q, r]


@kernel
def pool_gradient(g, pooled, winners, d, taps, disjoint, kind, row, n0, n1):
    """The gradient of pool_and_activate: d[n, winners[n, q, r], r] += g[n, r * Q + q] f'.

    g: [N, >= R * Q]; pooled, winners: as they were left by the forward pass; d: [N, P, R], zero at
    first; disjoint: no two windows overlap, so that every place that is ever written is written
    anew; row: scratch [R].
    """
    windows, channels = winners.shape[1], winners.shape[2]
    for n in range(n0, n1):
        if not disjoint:
            d[n] = f32(0)
        for q in range(windows):
            y, at = pooled[n, q], winners[n, q]
            for r in range(channels):
                row[r] = slope(g[n, r * windows + q], y[r], kind)
            for t in range(taps.shape[0]):
                place = taps[t, q]
                if place >= 0:
                    target = d[n, place]
                    if disjoint:
                        for r in range(channels):
                            target[r] = row[r] if at[r] == place else f32(0)
                    else:
                        for r in range(channels):
                            target[r] += row[r] if at[r] == place else f32(0)


@kernel
def turn_gradient(g, y, d, kind, n0, n1):
    """The gradient of turn_and_activate: d[n, p, r] = g[n, r * P + p] f'; g: [N, >= R * P]."""
    channels, positions = y.shape[1], y.shape[2]
    for n in range(n0, n1):
        for r0 in range(0, channels, TILE):
            for p in range(positions):
                for r in range(r0, min(r0 + TILE, channels)):
                    d[n, p, r] = slope(g[n, r * positions + p], y[n, r, p], kind)


@kernel
def activation_gradient(g, y, d, kind, n0, n1):
    """d[n, r] = g[n, r] f'; g: [N, >= R], y and d: [N, R]."""
    for n in range(n0, n1):
        for r in range(y.shape[1]):
            d[n, r] = slope(g[n, r], y[n, r], kind)
