"""Reads and updates in ideal mode: matrix products and nothing around them.

Not for arrays with noise, converters or bounds (`read.py`), nor for pulses.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.blas import address, gemm, gemm_outer
from rpucc.runtime.kernels.jit import kernel

f32 = nb.float32


@kernel
def multiply(m0, m1, blas, W, X, Y, transpose, accumulate):
    """The ideal read of rows m0 .. m1 - 1: Y = X Wᵀ (or X W), without any periphery."""
    ld_w = W.shape[1]
    gemm(
        blas, address(Y, m0 * Y.shape[1]), Y.shape[1], address(X, m0 * X.shape[1]), X.shape[1],
        address(W, 0), ld_w, m1 - m0, X.shape[1], Y.shape[1], transpose, f32(1),
        f32(1) if accumulate else f32(0),
    )  # fmt: skip


@kernel
def subtract_outer(r0, r1, blas, W, X, D, lr):
    """The ideal update of rows r0 .. r1 - 1: W -= lr * Dᵀ X with X [M, C] and D [M, R]."""
    ld_w = W.shape[1]
    gemm_outer(
        blas, address(W, r0 * ld_w), ld_w, address(D, r0), D.shape[1], address(X, 0), X.shape[1],
        X.shape[0], r1 - r0, ld_w, -lr,
    )  # fmt: skip


@kernel
def multiply_groups(q0, q1, blas, W, X, Y, transpose):
    """`multiply` of G independent matrices, shapes as in `read.read_groups`."""
    groups = W.shape[0]
    for q in range(q0, q1):
        multiply(0, X.shape[1], blas, W[q % groups], X[q], Y[q], transpose, False)


@kernel
def subtract_outers(g0, g1, blas, W, X, D, lr):
    """`subtract_outer` of matrices g0 .. g1 - 1: W [G, R, C], X [N·G, P, C], D [N·G, P, R]."""
    groups = W.shape[0]
    for g in range(g0, g1):
        for q in range(g, X.shape[0], groups):
            subtract_outer(0, W.shape[1], blas, W[g], X[q], D[q], lr)


@kernel
def subtract_span(r0, r1, W, blas, X, D, lr, policy, tiles, where, span, scratch):
    """`subtract_outer` of rows r0 .. r1 - 1 with rows span.first .. span.last - 1 of X and D.

    Shapes and arguments are those of a pulsed update (`update_arguments.py`), of which blas takes
    the place of the devices; policy, tiles, where and scratch play no part. Returns 0, the pulses.
    """
    rows = D.shape[2]
    r = r0
    while r < r1:
        group = r // rows
        base = group * rows
        end = min(r1, base + rows)
        subtract_outer(
            r - base, end - base, blas, W[base : base + rows], X[group, span.first : span.last],
            D[group, span.first : span.last], lr,
        )  # fmt: skip
        r = end
    return 0


@kernel
def add_outers(r0, r1, blas, sums, X, D, lr, piece):
    """Rows r0 .. r1 - 1 of sums [G·R, C] += lr * Dᵀ X of their group, X [G, M, C] and D [G, M, R].

    A product's last bit depends on how many rows it has: they are taken in pieces of so many from
    the first row of their group on, and r0 is where one begins.
    """
    rows = D.shape[2]
    r = r0
    while r < r1:
        group = r // rows
        base = group * rows
        end = min(r1, base + rows, base + ((r - base) // piece + 1) * piece)
        subtract_outer(
            r - base, end - base, blas, sums[base : base + rows], X[group], D[group], -lr
        )
        r = end


@kernel
def add_plane(visible, W, gain, more):
    """Let visible [R, C] be gain * W, or add that to it where there is `more` in it already."""
    out, plane = visible.reshape(-1), W.reshape(-1)
    for i in range(out.shape[0]):
        out[i] = (out[i] if more else f32(0)) + gain * plane[i]
