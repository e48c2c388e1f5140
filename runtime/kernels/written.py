"""Devices that were written: what reads see of them is drawn anew.

Pulses move a hidden weight; what a read sees of a device differs from it by the noise with which it
was last written (`rpucc.runtime.devices.rest`). Kernels that pulse devices mark them, and here what
is seen of the marked ones is drawn: at the end of a step's updates, or before a column is read
within one. Plain statement: `rpucc.runtime.reference.rest`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import fill_normals, one_normal
from rpucc.runtime.kernels.philox import RESET, WRITE_NOISE

f32 = nb.float32
i64 = nb.int64
u32 = nb.uint32

# A row of which less than one device in SPARSE is marked has its normals drawn one by one.
SPARSE = 16
# The age of a device that was written after time last passed.
JUST_WRITTEN = f32(-1)


@inlined
def see(W, written, r, c, normal):
    """Let reads see the device (r, c) as it was just written."""
    written.seen[r, c] = W[r, c] + written.std * normal
    if written.age.shape[0] > 0:
        written.age[r, c] = JUST_WRITTEN
    written.marks[r, c] = 0


@kernel
def settle(r0, r1, W, written, layout, sample, k0, k1, noise):
    """Draw what reads see of the marked devices of rows r0 .. r1 - 1 of W [G·R, C]; none is left.

    Device e = r * columns + c of its tile has element e of the stream (0, WRITE_NOISE and tile,
    sample), sample: the first of the step. noise: float32 [>= longest segment + 128], scratch.
    """
    marks = written.marks
    for b in range(layout.row_cuts.shape[0] - 1):
        row0 = layout.row_cuts[b]
        for s in range(layout.col_cuts.shape[0] - 1):
            c0, c1 = layout.col_cuts[s], layout.col_cuts[s + 1]
            word = i64(u32(u32(WRITE_NOISE << 24) | u32(layout.ids[b, s])))
            for r in range(max(r0, row0), min(r1, layout.row_cuts[b + 1])):
                found = 0
                for c in range(c0, c1):
                    found += i64(marks[r, c])
                if found == 0:
                    continue
                first = (r - row0) * (c1 - c0)
                drawn = written.std > f32(0)
                dense = drawn and found * SPARSE >= c1 - c0
                if dense:
                    fill_normals(noise, first, c1 - c0, 0, word, sample, i64(k0), i64(k1))
                for c in range(c0, c1):
                    if marks[r, c] != 0:
                        normal = f32(0)
                        if dense:
                            normal = noise[(first & 63) + c - c0]
                        elif drawn:
                            normal = one_normal(first + c - c0, 0, word, sample, k0, k1)
                        see(W, written, r, c, normal)


@inlined
def seen_column(
    values, W, written, k, o0, o1, row0, c0, width, tile, position, sample, k0, k1
):  # fmt: skip
    """Let values[: o1 - o0] be what a read sees of column k of rows o0 .. o1 - 1 of the plane W.

    Marked devices are drawn first. written: of the plane (`update_arguments.Written`); row0, c0:
    the tile's first row and column, width: its columns, tile: its id. With the position and sample
    after which it is read they address the draws: element e = r * width + c of the stream
    (position + 1, WRITE_NOISE and tile, sample).
    """
    for r in range(o1 - o0):
        values[r] = W[o0 + r, k]
    if written.marks.shape[0] > 0:
        word = u32(u32(WRITE_NOISE << 24) | u32(tile))
        for r in range(o1 - o0):
            if written.marks[o0 + r, k] != 0:
                normal = f32(0)
                if written.std > f32(0):
                    element = (o0 + r - row0) * width + k - c0
                    normal = one_normal(element, position + 1, word, sample, k0, k1)
                see(W, written, o0 + r, k, normal)
            values[r] = written.seen[o0 + r, k]


@inlined
def seen_device(W, written, r, k, row0, c0, width, tile, position, sample, k0, k1):
    """What a read sees of the device (r, k) of a plane with marks, as `seen_column` has it."""
    if written.marks[r, k] != 0:
        normal = f32(0)
        if written.std > f32(0):
            word = u32(u32(WRITE_NOISE << 24) | u32(tile))
            element = (r - row0) * width + k - c0
            normal = one_normal(element, position + 1, word, sample, k0, k1)
        see(W, written, r, k, normal)
    return written.seen[r, k]


@inlined
def mark(written, r, k):
    """Mark the device (r, k) as written, where marks are kept."""
    if written.marks.shape[0] > 0:
        written.marks[r, k] = 1


@inlined
def reset_device(W, resets, written, r, k, row0, c0, width, tile, position, sample, k0, k1):
    """Reset the device (r, k) and mark it: to 0, or where its model says to (`Resets`).

    Addressed as `seen_column`, with the purpose RESET.
    """
    value = f32(0)
    if resets.targets.shape[0] > 0:
        value = resets.targets[r if resets.targets.shape[0] > 1 else 0, k]
        if resets.std > f32(0):
            word = u32(u32(RESET << 24) | u32(tile))
            element = (r - row0) * width + k - c0
            value += resets.std * one_normal(element, position + 1, word, sample, k0, k1)
        value = min(max(value, resets.bounds[0, r, k]), resets.bounds[1, r, k])
    W[r, k] = value
    mark(written, r, k)
