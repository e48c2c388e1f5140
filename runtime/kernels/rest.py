"""What becomes of devices in a step without pulses: a random walk, then a decay, each clipped.

    w += D ξ,   w = b + (w - b)(1 - 1 / t)        D, b, t of each device

What reads see moves with what pulses move: the noise of the last write stays. Plain statement:
`rpucc.runtime.reference.rest`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.copies import copy
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import fill_normals
from rpucc.runtime.kernels.philox import DIFFUSION

f32 = nb.float32
i64 = nb.int64
u32 = nb.uint32


@inlined
def _own(values, r):
    """Whose row of a quantity is that of row r: its own, or the only one, for all devices."""
    return r if values.shape[0] > 1 else 0


@kernel
def rest(r0, r1, W, seen, origin, devices, layout, sample, k0, k1, noise):
    """Let rows r0 .. r1 - 1 of W [G·R, C] walk and decay by a step.

    seen, origin [G·R, C]: what reads see, and what drifts, which move alike; [0, 0] where they are
    none of their own. devices: `update_arguments.Rest`. Device e = r * columns + c of its tile has
    element e of the stream (0, DIFFUSION and tile, sample), sample: the first of the step. noise:
    float32 [2, >= longest segment + 128], scratch.
    """
    diffusion, decay, targets, bounds = devices
    normals, before = noise[0], noise[1]
    for b in range(layout.row_cuts.shape[0] - 1):
        row0 = layout.row_cuts[b]
        for s in range(layout.col_cuts.shape[0] - 1):
            if layout.ids[b, s] < 0:  # not there
                continue
            c0, c1 = layout.col_cuts[s], layout.col_cuts[s + 1]
            n = c1 - c0
            word = i64(u32(u32(DIFFUSION << 24) | u32(layout.ids[b, s])))
            for r in range(max(r0, row0), min(r1, layout.row_cuts[b + 1])):
                w, low, high = W[r, c0:c1], bounds[0, r, c0:c1], bounds[1, r, c0:c1]
                copy(w, before[:n])
                if diffusion.shape[0] > 0:
                    first = (r - row0) * n
                    fill_normals(normals, first, n, 0, word, sample, i64(k0), i64(k1))
                    at, step = first & 63, diffusion[_own(diffusion, r), c0:c1]
                    for c in range(n):
                        w[c] = min(max(w[c] + step[c] * normals[at + c], low[c]), high[c])
                if decay.shape[0] > 0:
                    share = decay[_own(decay, r), c0:c1]
                    target = targets[_own(targets, r), c0:c1]
                    for c in range(n):
                        new = w[c] + share[c] * (target[c] - w[c])
                        w[c] = min(max(new, low[c]), high[c])
                if seen.shape[0] > 0:
                    for c in range(n):
                        seen[r, c0 + c] += w[c] - before[c]
                if origin.shape[0] > 0:
                    for c in range(n):
                        origin[r, c0 + c] += w[c] - before[c]
