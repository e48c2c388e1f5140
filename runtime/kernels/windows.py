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
from rpucc.runtime.kernels.lanes import LANES, add_lanes, copy_lanes

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


def window_starts(index: NDArray[np.int32], run: int) -> NDArray[np.int32]:
    """Where the window's rows of `run` taps begin: [positions, taps / run].

    run: taps that lie side by side (the kernel's width where its dilation is 1), or 1. All of a
    position are -1 if any of its taps lies in the padding: it is copied tap by tap.
    """
    rows = index.reshape(len(index), -1, run)
    inside = (index >= 0).all(axis=1, keepdims=True)
    return np.where(inside, rows[:, :, 0], -1).astype(np.int32)


@inlined
def _copy_rows(x, base, starts, out, at, runs, run):
    """Eight floats for each row of `run` taps: what is too much is overwritten by the next."""
    for j in range(runs):
        copy_lanes(out, at + j * run, x, base + starts[j])


@inlined
def _add_rows(x, base, starts, out, at, runs, run):
    """The adjoint of _copy_rows."""
    for j in range(runs):
        add_lanes(x, base + starts[j], out, at + j * run, run)


@inlined
def _wide_channels(starts, width, positions, p, taps, run, channels, space):
    """The first channels of a position whose rows, eight floats each, end inside both arrays."""
    runs = starts.shape[0]
    if starts[0] < 0 or run > LANES:
        return 0
    # Floats behind the first channel's last row, in the image and in the rows still to come.
    source = channels * space - LANES - starts[runs - 1]  # the largest: taps ascend
    target = (positions - p) * width - LANES - (runs - 1) * run
    if source >= (channels - 1) * space and target >= (channels - 1) * taps:
        return channels
    if source < 0 or target < 0:
        return 0
    return min(source // space, target // taps) + 1


@kernel
def im2col(x, out, index, starts, extra, n0, n1):
    """out[n, p, c * taps + k] = x[n, c, index[p, k]], 0 in the padding, for samples n0 to n1 - 1.

    x: float32 [N, C, space]; out: float32 [N, P, C * taps + extra]; the extra column is 1.
    index: `window_index`; starts: `window_starts`.
    """
    channels, space, positions = x.shape[1], x.shape[2], index.shape[0]
    runs, taps, width = starts.shape[1], index.shape[1], out.shape[2]
    run = taps // runs
    for n in range(n0, n1):
        image, rows = x[n].reshape(-1), out[n].reshape(-1)
        for p in range(positions):
            first = starts[p]
            row = p * width
            wide = _wide_channels(first, width, positions, p, taps, run, channels, space)
            if runs == 5:  # a fixed number keeps the five starts in registers
                for c in range(wide):
                    _copy_rows(image, c * space, first, rows, row + c * taps, 5, run)
            elif runs == 3:
                for c in range(wide):
                    _copy_rows(image, c * space, first, rows, row + c * taps, 3, run)
            else:
                for c in range(wide):
                    _copy_rows(image, c * space, first, rows, row + c * taps, runs, run)
            for c in range(wide, channels):
                for k in range(taps):
                    place = index[p, k]
                    rows[row + c * taps + k] = image[c * space + place] if place >= 0 else f32(0)
            if extra > 0:
                rows[row + width - 1] = f32(1)


@kernel
def col2im(cols, out, index, starts, n0, n1):
    """The adjoint of im2col: out[n, c, index[p, k]] += cols[n, p, c * taps + k], from zero.

    cols may have further columns, which are left out.
    """
    channels, space, positions = out.shape[1], out.shape[2], index.shape[0]
    runs, taps, width = starts.shape[1], index.shape[1], cols.shape[2]
    run = taps // runs
    for n in range(n0, n1):
        image, rows = out[n].reshape(-1), cols[n].reshape(-1)
        image[:] = f32(0)
        for p in range(positions):
            first = starts[p]
            row = p * width
            wide = _wide_channels(first, width, positions, p, taps, run, channels, space)
            if runs == 5:
                for c in range(wide):
                    _add_rows(image, c * space, first, rows, row + c * taps, 5, run)
            elif runs == 3:
                for c in range(wide):
                    _add_rows(image, c * space, first, rows, row + c * taps, 3, run)
            else:
                for c in range(wide):
                    _add_rows(image, c * space, first, rows, row + c * taps, runs, run)
            for c in range(wide, channels):
                for k in range(taps):
                    place = index[p, k]
                    if place >= 0:
                        image[c * space + place] += rows[row + c * taps + k]


# Channels and positions that are transposed together: both sides stay in L1.
TURNED = 16


@kernel
def im2col_points(x, out, extra, n0, n1):
    """`im2col` of a 1×1 kernel on every position: out[n, p, c] = x[n, c, p], a transposition."""
    channels, positions, width = x.shape[1], x.shape[2], out.shape[2]
    for n in range(n0, n1):
        image, rows = x[n].reshape(-1), out[n].reshape(-1)
        for p0 in range(0, positions, TURNED):
            last = min(p0 + TURNED, positions)
            for c0 in range(0, channels, TURNED):
                for p in range(p0, last):
                    for c in range(c0, min(c0 + TURNED, channels)):
                        rows[p * width + c] = image[c * positions + p]
            if extra > 0:
                for p in range(p0, last):
                    rows[p * width + channels] = f32(1)


@kernel
def col2im_points(cols, out, n0, n1):
    """The adjoint of `im2col_points`; cols may have further columns, which are left out."""
    channels, positions, width = out.shape[1], out.shape[2], cols.shape[2]
    for n in range(n0, n1):
        image, rows = out[n].reshape(-1), cols[n].reshape(-1)
        for p0 in range(0, positions, TURNED):
            last = min(p0 + TURNED, positions)
            for c0 in range(0, channels, TURNED):
                for c in range(c0, min(c0 + TURNED, channels)):
                    for p in range(p0, last):
                        image[c * positions + p] = rows[p * width + c]


@kernel
def max_pool(x, out, winners, taps, n0, n1):
    """Largest value of each window, and where it lies (the first one of equals).

    For samples n0 to n1 - 1.
    x: float32 [N, C, space]; out: [N, C, P]; winners: int64 [N, C, P], flat indices into x;
    taps: the index table transposed, int32 [taps, P]. Tap by tap, so that positions run side by
    side in vectors and nothing branches on data.
    """
    channels, space = x.shape[1], x.shape[2]
    for n in range(n0, n1):
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
