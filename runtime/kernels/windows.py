"""Sliding windows: im2col, its adjoint col2im, and max pooling.

One index table serves every rank, stride, dilation and padding: index[p, k] is where tap k of
position p lies in the flattened space of one channel, or -1 in the padding. Columns are ordered
as ONNX's Col2Im orders them: channel first, then tap.
"""

from __future__ import annotations

from collections.abc import Sequence

import numba as nb
import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.jit import inlined, kernel

f32 = nb.float32


def window_index(
    space: Sequence[int],
    kernel_shape: Sequence[int],
    strides: Sequence[int],
    pads: Sequence[int],
    dilations: Sequence[int],
    out_space: Sequence[int] | None = None,
) -> NDArray[np.int32]:
    """The index table [positions, taps] of a window over `space`; see the module's docstring.

    pads: ONNX order, all begins then all ends. out_space: given where ceil_mode adds positions.
    """
    rank = len(space)
    if out_space is None:
        out_space = [
            (space[i] + pads[i] + pads[i + rank] - dilations[i] * (kernel_shape[i] - 1) - 1)
            // strides[i]
            + 1
            for i in range(rank)
        ]
    index = np.zeros((1, 1), np.int64)
    inside = np.ones((1, 1), bool)
    for i in range(rank):
        start = np.arange(out_space[i]) * strides[i] - pads[i]
        place = start[:, None] + np.arange(kernel_shape[i])[None, :] * dilations[i]
        legal = (place >= 0) & (place < space[i])
        p, k = index.shape
        index = (index * space[i])[:, None, :, None] + place[None, :, None, :]
        index = index.reshape(p * place.shape[0], k * place.shape[1])
        both = inside[:, None, :, None] & legal[None, :, None, :]
        inside = both.reshape(index.shape)
    return np.where(inside, index, -1).astype(np.int32)


@inlined
def _copy(x, first, row, at, run):
    """row[at + k] = x[first + k] for k < run; unrolled for the usual kernel widths."""
    if run == 3:
        for k in range(3):
            row[at + k] = x[first + k]
    elif run == 5:
        for k in range(5):
            row[at + k] = x[first + k]
    else:
        for k in range(run):
            row[at + k] = x[first + k]


@inlined
def _add(x, first, row, at, run):
    """x[first + k] += row[at + k] for k < run; unrolled for the usual kernel widths."""
    if run == 3:
        for k in range(3):
            x[first + k] += row[at + k]
    elif run == 5:
        for k in range(5):
            x[first + k] += row[at + k]
    else:
        for k in range(run):
            x[first + k] += row[at + k]


@kernel
def im2col(x, out, index, run):
    """out[n, p, c * taps + k] = x[n, c, index[p, k]], 0 in the padding.

    x: float32 [N, C, space]; out: float32 [N, P, >= C * taps] (further columns are left alone);
    run: taps that lie side by side in x (the kernel's width where its dilation is 1), or 1.
    """
    taps = index.shape[1]
    for n in range(x.shape[0]):
        for p in range(index.shape[0]):
            row = out[n, p]
            places = index[p]
            for k0 in range(0, taps, run):
                first = places[k0]
                last = places[k0 + run - 1]
                if first >= 0 and last - first == run - 1:
                    for c in range(x.shape[1]):
                        _copy(x[n, c], first, row, c * taps + k0, run)
                else:
                    for c in range(x.shape[1]):
                        o = c * taps + k0
                        for k in range(run):
                            place = places[k0 + k]
                            row[o + k] = x[n, c, place] if place >= 0 else f32(0)


@kernel
def col2im(cols, out, index, run):
    """The adjoint of im2col: out[n, c, index[p, k]] += cols[n, p, c * taps + k], from zero."""
    taps = index.shape[1]
    for n in range(out.shape[0]):
        out[n] = f32(0)
        for p in range(index.shape[0]):
            row = cols[n, p]
            places = index[p]
            for k0 in range(0, taps, run):
                first = places[k0]
                last = places[k0 + run - 1]
                if first >= 0 and last - first == run - 1:
                    for c in range(out.shape[1]):
                        _add(out[n, c], first, row, c * taps + k0, run)
                else:
                    for c in range(out.shape[1]):
                        o = c * taps + k0
                        for k in range(run):
                            place = places[k0 + k]
                            if place >= 0:
                                out[n, c, place] += row[o + k]


@kernel
def max_pool(x, out, winners, taps):
    """Largest value of each window, and where it lies (the first one of equals).

    x: float32 [N, C, space]; out: [N, C, P]; winners: int64 [N, C, P], flat indices into x;
    taps: the index table transposed, int32 [taps, P]. Tap by tap, so that positions run side by
    side in vectors and nothing branches on data.
    """
    channels, space = x.shape[1], x.shape[2]
    for n in range(x.shape[0]):
        for c in range(channels):
            values, best, at = x[n, c], out[n, c], winners[n, c]
            base = (n * channels + c) * space
            for p in range(taps.shape[1]):
                best[p] = f32(0)
                at[p] = -1
            for k in range(taps.shape[0]):
                places = taps[k]
                for p in range(places.shape[0]):
                    place = places[p]
                    v = values[max(place, 0)]
                    wins = place >= 0 and (v > best[p] or at[p] < 0)
                    best[p] = v if wins else best[p]
                    at[p] = base + place if wins else at[p]


@kernel
def scatter_add(start, index, updates, out):
    """Out = start; out[index[i]] += updates[i] (all one-dimensional)."""
    for i in range(out.shape[0]):
        out[i] = start[i]
    for i in range(index.shape[0]):
        out[index[i]] += updates[i]


@kernel
def swap_last(x, out):
    """out[n, b, a] = x[n, a, b]."""
    for n in range(x.shape[0]):
        for b in range(out.shape[1]):
            for a in range(out.shape[2]):
                out[n, b, a] = x[n, a, b]
