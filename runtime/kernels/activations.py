"""Activations around a convolution's reads, whose outputs lie channel last.

Forward: [N, P, R] as it was read -> activated, perhaps max pooled, [N, R, Q] as images are.
Backward: the gradient with respect to the one from that with respect to the other, in one pass.
Not for reads or windows (`read.py`, `windows.py`).
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.jit import inlined, kernel

f32 = nb.float32

NONE, TANH, RELU, SIGMOID = range(4)

# Rows that are turned together, so that both sides are read in whole cache lines.
TILE = 16

# tanh x = x a(x²) / b(x²), the minimax polynomials of Eigen (MPL 2.0), good to a few ulp.
_CLAMP = np.float32(7.90531110763549805)
_A1, _A3, _A5, _A7, _A9, _A11, _A13 = (
    np.float32(a)
    for a in (
        4.89352455891786e-03,
        6.37261928875436e-04,
        1.48572235717979e-05,
        5.12229709037114e-08,
        -8.60467152213735e-11,
        2.00018790482477e-13,
        -2.76076847742355e-16,
    )
)
_B0, _B2, _B4, _B6 = (
    np.float32(b)
    for b in (
        4.89352518554385e-03,
        2.26843463243900e-03,
        1.18534705686654e-04,
        1.19825839466702e-06,
    )
)


@inlined
def tanh(x):
    """Tanh of a float32, in straight-line code that vectorises."""
    v = min(max(x, -_CLAMP), _CLAMP)
    s = v * v
    a = _A1 + s * (_A3 + s * (_A5 + s * (_A7 + s * (_A9 + s * (_A11 + s * _A13)))))
    b = _B0 + s * (_B2 + s * (_B4 + s * _B6))
    return min(max(v * a / b, f32(-1)), f32(1))


@kernel
def _activate(x, kind):
    """x = f(x) for a vector."""
    if kind == TANH:
        for i in range(x.shape[0]):
            x[i] = tanh(x[i])
    elif kind == RELU:
        for i in range(x.shape[0]):
            x[i] = max(x[i], f32(0))
    elif kind == SIGMOID:
        for i in range(x.shape[0]):
            x[i] = f32(0.5) + f32(0.5) * tanh(f32(0.5) * x[i])


@inlined
def _slope(g, y, kind):
    """g f'(x), from y = f(x)."""
    if kind == TANH:
        return g * (f32(1) - y * y)
    if kind == RELU:
        return g if y > f32(0) else f32(0)
    if kind == SIGMOID:
        return g * (y * (f32(1) - y))
    return g


@kernel
def activate(x, out, kind, n0, n1):
    """out[n] = f(x[n]) for rows n0 to n1 - 1 of two-dimensional arrays."""
    for n in range(n0, n1):
        row = out[n]
        row[:] = x[n]
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
                row[r] = _slope(g[n, r * windows + q], y[r], kind)
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
                    d[n, p, r] = _slope(g[n, r * positions + p], y[n, r, p], kind)


@kernel
def activation_gradient(g, y, d, kind, n0, n1):
    """d[n, r] = g[n, r] f'; g: [N, >= R], y and d: [N, R]."""
    for n in range(n0, n1):
        for r in range(y.shape[1]):
            d[n, r] = _slope(g[n, r], y[n, r], kind)
