"""Exact outer products on devices that have nothing but bounds: aihwkit's `NoneWithDevice`.

W -= lr d xᵀ, vector by vector, each cut to the bounds of its device. Plain statement:
`rpucc.runtime.reference.clipped`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.written import mark

f32 = nb.float32
f64 = nb.float64


@kernel
def clipped_update(r0, r1, W, devices, X, D, lr, policy, layout, address, span, scratch):
    """Update rows r0 .. r1 - 1 of W [G·R, C] with rows span.first .. span.last - 1 of X and D.

    Shapes and arguments are those of a pulsed update (`update_arguments.py`) of `ClippedDevices`;
    policy and address play no part. Weights are float64 between the vectors of a call. Returns 0,
    the pulses.
    """
    bounds, kept, written = devices.bounds, devices.kept, devices.written
    rows, w = D.shape[2], scratch.row[0]
    for b in range(layout.row_cuts.shape[0] - 1):
        for s in range(layout.col_cuts.shape[0] - 1):
            if layout.ids[b, s] < 0:  # not there
                continue
            c0, c1 = layout.col_cuts[s], layout.col_cuts[s + 1]
            for r in range(max(r0, layout.row_cuts[b]), min(r1, layout.row_cuts[b + 1])):
                g = r // rows
                low, high = bounds[0, r, c0:c1], bounds[1, r, c0:c1]
                for c in range(c1 - c0):
                    w[c] = W[r, c0 + c]
                for m in range(span.first, span.last):
                    step = f64(lr) * f64(D[g, m, r - g * rows])
                    if step == f64(0):
                        continue
                    x = X[g, m, c0:c1]
                    for c in range(c1 - c0):
                        w[c] = min(max(w[c] - step * f64(x[c]), f64(low[c])), f64(high[c]))
                    if written.marks.shape[0] > 0:
                        for c in range(c1 - c0):
                            if x[c] != f32(0) and (kept.shape[0] == 0 or kept[r, c0 + c] != 0):
                                written.marks[r, c0 + c] = 1
                for c in range(c1 - c0):
                    if kept.shape[0] == 0 or kept[r, c0 + c] != 0:
                        W[r, c0 + c] = f32(w[c])
    return 0


@inlined
def _clip_side(side, r0, r1, W, devices, X, D, lr, layout, span, scratch):
    bounds, kept, written = devices.bounds, devices.kept, devices.written
    rows, w = D.shape[2], scratch.row[0]
    for b in range(layout.row_cuts.shape[0] - 1):
        for s in range(layout.col_cuts.shape[0] - 1):
            if layout.ids[b, s] < 0:  # not there
                continue
            c0, c1 = layout.col_cuts[s], layout.col_cuts[s + 1]
            for r in range(max(r0, layout.row_cuts[b]), min(r1, layout.row_cuts[b + 1])):
                g = r // rows
                for c in range(c1 - c0):
                    w[c] = W[r, c0 + c]
                for m in range(span.first, span.last):
                    step = -side * f64(lr) * f64(D[g, m, r - g * rows])
                    if step == f64(0):
                        continue
                    for c in range(c1 - c0):
                        move = step * f64(X[g, m, c0 + c])
                        w[c] = min(w[c] + max(move, f64(0)), f64(bounds[1, r, c0 + c]))
                        here = kept.shape[0] == 0 or kept[r, c0 + c] != 0
                        if written.marks.shape[0] > 0 and move > f64(0) and here:
                            written.marks[r, c0 + c] = 1
                for c in range(c1 - c0):
                    if kept.shape[0] == 0 or kept[r, c0 + c] != 0:
                        W[r, c0 + c] = f32(w[c])
    return 0


@kernel
def clipped_rises(r0, r1, W, devices, X, D, lr, policy, layout, address, span, scratch):
    """`clipped_update` of devices that are only moved up, where a weight would be."""
    return _clip_side(f64(1), r0, r1, W, devices, X, D, lr, layout, span, scratch)


@kernel
def clipped_falls(r0, r1, W, devices, X, D, lr, policy, layout, address, span, scratch):
    """The same, where a weight would be moved down."""
    return _clip_side(f64(-1), r0, r1, W, devices, X, D, lr, layout, span, scratch)


@inlined
def move_clipped(W, r, k, change, devices):
    """Change the weight of the device (r, k), cut to its bounds."""
    if change != f32(0):
        w = f64(W[r, k]) + f64(change)
        W[r, k] = f32(min(max(w, f64(devices.bounds[0, r, k])), f64(devices.bounds[1, r, k])))
        mark(devices.written, r, k)
