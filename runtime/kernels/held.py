"""Exact updates of a matrix of which some weights stay what they are.

Not for pulsed updates: those have no pulses for such weights (`coincidences/`, `rpucc.runtime.
devices`).
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.blas import address, gemm_outer
from rpucc.runtime.kernels.jit import kernel

# Rows whose steps are worked out together, from a multiple of it to the next: of a matrix of 1,000
# columns they fit in L2.
HELD_ROWS = 16


@kernel
def subtract_held(r0, r1, blas, W, X, D, lr, m0, m1, held):
    """W -= lr Dᵀ X in rows r0 .. r1 - 1, where the weights are trained; others keep their bits.

    W [G·R, C]: G matrices one below the other; X [N·G, P, C], D [N·G, P, R], of which rows
    m0 .. m1 - 1 of the second axis are applied. held: see `Held`.
    """
    if held.columns.shape[0] > 0:
        _subtract_listed(r0, r1, W, X, D, lr, m0, m1, held.starts, held.columns)
    else:
        _subtract_parts(r0, r1, blas, W, X, D, lr, m0, m1, held)


@kernel
def _subtract_listed(r0, r1, W, X, D, lr, m0, m1, starts, columns):
    """Weight by weight: where few are trained."""
    rows = D.shape[2]
    groups = W.shape[0] // rows
    for r in range(r0, r1):
        group = r // rows
        w, own = W[r], columns[starts[r] : starts[r + 1]]
        for q in range(group, X.shape[0], groups):
            for m in range(m0, m1):
                step, x = lr * D[q, m, r - group * rows], X[q, m]
                if step != nb.float32(0):
                    for c in own:
                        w[c] -= step * x[c]


@kernel
def _subtract_parts(r0, r1, blas, W, X, D, lr, m0, m1, held):
    """Part by part as products of matrices, of which what is held gets nothing.

    A product's last bit depends on how many rows it has: r0 is a multiple of HELD_ROWS.
    """
    parts, steps = held.parts, held.steps
    rows, ld_w = D.shape[2], W.shape[1]
    groups = W.shape[0] // rows
    for k in range(parts.shape[0]):
        first, last = max(r0, parts[k, 0]), min(r1, parts[k, 1])
        c0, width = parts[k, 2], parts[k, 3] - parts[k, 2]
        r = first
        while r < last:  # in blocks that lie the same however rows were cut over threads
            end = min(last, (r // HELD_ROWS + 1) * HELD_ROWS)
            group = r // rows
            for i in range(end - r):
                step = steps[i]
                for c in range(width):
                    step[c] = nb.float32(0)
            for q in range(group, X.shape[0], groups):
                gemm_outer(
                    blas, address(steps, 0), steps.shape[1],
                    address(D, (q * D.shape[1] + m0) * rows + r - group * rows), rows,
                    address(X, (q * X.shape[1] + m0) * ld_w + c0), ld_w, m1 - m0, end - r, width,
                    -lr,
                )  # fmt: skip
            for i in range(end - r):
                w, kept = W[r + i, c0 : c0 + width], held.kept[r + i, c0 : c0 + width]
                step = steps[i]
                for c in range(width):
                    before = w[c]
                    after = before + step[c]  # both are there before it is asked: in vectors
                    w[c] = after if kept[c] else before
            r = end


@kernel
def subtract_span_held(r0, r1, W, devices, X, D, lr, policy, tiles, where, span, scratch):
    """`products.subtract_span` where some weights stay; devices: (addresses of BLAS, held)."""
    blas, held = devices
    subtract_held(r0, r1, blas, W, X, D, lr, span.first, span.last, held)
    return 0
