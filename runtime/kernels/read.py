"""The read cycles: DAC, matrix product, read noise, bound, ADC, noise and bound management.

One call reads all tiles of a grid for a range of input rows, forward or transposed, and adds the
partial sums digitally. Equations: Gokmen, Onen & Haensch 2017 (doi 10.3389/fnins.2017.00538);
the plain statement of the same computation is `rpucc.runtime.reference.read`.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.blas import address, gemm, gemm_outer
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import fill_normals
from rpucc.runtime.kernels.rounding import floor

f32 = nb.float32
u32 = nb.uint32

# Outputs that get their noise and are finished together: 16 KiB, so that they stay in L1.
RUN_OUTPUTS = 4096

# A bound that no float32 exceeds (not inf: kernels are compiled for finite numbers).
UNBOUNDED = np.finfo(np.float32).max

# Below the smallest normal float32 the inverse overflows: an input that small counts as 0.
TINY = np.finfo(np.float32).tiny

# Rows of the statistics vector that reads add to.
READS, SATURATED, REREADS = 0, 1, 2


@inlined
def _largest(x):
    """max |x| of a vector (0 when empty)."""
    largest = f32(0)
    for value in x:
        largest = max(largest, abs(value))
    return largest


@inlined
def _convert(x, out, inverse, dac_levels):
    """out = DAC(x * inverse): clip to ±1 and round to steps of 1 / dac_levels; 0 levels: no DAC."""
    if dac_levels > f32(0):
        step = f32(1) / dac_levels
        for c in range(x.shape[0]):
            v = min(max(x[c] * inverse, f32(-1)), f32(1))
            out[c] = floor(v * dac_levels + f32(0.5)) * step
    else:
        for c in range(x.shape[0]):
            out[c] = x[c] * inverse


@inlined
def _add_noise(z, normals, noise):
    """Z += noise * normals; returns the largest |z| afterwards."""
    largest = f32(0)
    for r in range(z.shape[0]):
        v = z[r] + noise * normals[r]
        z[r] = v
        largest = max(largest, abs(v))
    return largest


@inlined
def _digitise(z, y, bound, adc_step, factor, accumulate):
    """Y (+)= ADC(clip(z, ±bound)) * factor; adc_step 0: no ADC; UNBOUNDED: no clip."""
    if adc_step > f32(0):
        inverse = f32(1) / adc_step
        for r in range(z.shape[0]):
            v = min(max(z[r], -bound), bound)
            z[r] = floor(v * inverse + f32(0.5)) * adc_step
    else:
        for r in range(z.shape[0]):
            z[r] = min(max(z[r], -bound), bound)
    if accumulate:
        for r in range(z.shape[0]):
            y[r] += z[r] * factor
    else:
        for r in range(z.shape[0]):
            y[r] = z[r] * factor


@kernel
def _read_again(
    sgemm, w_address, ld_w, x, z, x_again, normals, inverse, first, place, tile_word, sample,
    k0, k1, max_halvings, noise, bound, dac_levels, transpose,
):  # fmt: skip
    """Bound management: halve the input and read again, with fresh noise, until nothing saturates.

    z [outputs of the tile] receives the last read. Returns (halvings, still saturated).
    """
    outputs = z.shape[0]
    n = 0
    largest = bound
    while n < max_halvings and largest >= bound:
        n += 1
        _convert(x, x_again, inverse * f32(0.5**n), dac_levels)
        gemm(
            sgemm, address(z, 0), outputs, address(x_again, 0), x.shape[0], w_address, ld_w,
            1, x.shape[0], outputs, transpose, f32(1), f32(0),
        )  # fmt: skip
        if noise > f32(0):
            fill_normals(normals, first, outputs, place << 8 | n, tile_word, sample, k0, k1)
            largest = _add_noise(z, normals[first & 63 :], noise)
        else:
            largest = _largest(z)
    return n, largest >= bound


@kernel
def read(
    m0, m1, sgemm, W, X, Y, in_cuts, out_cuts, tiles, positions, sample0, purpose, place, k0, k1,
    noise_managed, max_halvings, noise, bound, dac_levels, adc_step, transpose,
    block, xs, zs, scales, normals, statistics,
):  # fmt: skip
    """Read rows m0 .. m1 - 1 of X through all tiles of W, into Y.

    W: float32 [R, C]. X: [M, inputs], Y: [M, outputs]; (inputs, outputs) is (C, R), or (R, C)
    when `transpose` (the backward cycle). Row m is position m % positions of sample
    sample0 + m // positions. in_cuts [S + 1], out_cuts [B + 1]: the tile borders;
    tiles: int64 [S, B], the tile ids that address the noise.
    noise_managed: scale each row of each segment by its max |x| (0: nothing is read, Y = 0).
    max_halvings: bound management's limit, 0 for none. noise: sigma. bound: alpha, or UNBOUNDED.
    dac_levels: 2^(bits - 1) - 1, adc_step: 2 alpha / (2^bits - 2); 0 for no converter.
    place: which of the layer's places in the network reads (a shared matrix has several); with
    purpose, tile, sample, position and retry it addresses the noise.
    Scratch: xs [(block + 1) * longest segment], zs [block * most outputs of a tile],
    scales [block], normals [(block + 1) * most outputs of a tile + 256].
    statistics: int64 [3] += tile reads, saturated ones, re-reads.
    """
    ld_w = W.shape[1]
    for b0 in range(m0, m1, block):
        rows = min(block, m1 - b0)
        for s in range(in_cuts.shape[0] - 1):
            i0 = in_cuts[s]
            inputs = in_cuts[s + 1] - i0
            for i in range(rows):
                x = X[b0 + i, i0 : i0 + inputs]
                scale = _largest(x) if noise_managed else f32(1)
                if scale < TINY:
                    scale = f32(0)
                scales[i] = scale
                inverse = f32(1) / scale if scale > f32(0) else f32(0)
                _convert(x, xs[i * inputs : (i + 1) * inputs], inverse, dac_levels)
            for t in range(out_cuts.shape[0] - 1):
                o0 = out_cuts[t]
                outputs = out_cuts[t + 1] - o0
                w_address = address(W, i0 * ld_w + o0 if transpose else o0 * ld_w + i0)
                gemm(
                    sgemm, address(zs, 0), outputs, address(xs, 0), inputs, w_address, ld_w,
                    rows, inputs, outputs, transpose, f32(1), f32(0),
                )  # fmt: skip
                tile_word = u32(purpose << 24 | tiles[s, t])
                done = 0  # rows are finished in runs that belong to one sample
                while done < rows:
                    sample = (b0 + done) // positions
                    p0 = (b0 + done) - sample * positions
                    run = min(rows - done, positions - p0, max(1, RUN_OUTPUTS // outputs))
                    first = p0 * outputs
                    if noise > f32(0):
                        fill_normals(
                            normals, first, run * outputs, place << 8, tile_word,
                            u32(sample0 + sample), k0, k1,
                        )  # fmt: skip
                    offset = first & 63
                    for i in range(done, done + run):
                        z = zs[i * outputs : (i + 1) * outputs]
                        y = Y[b0 + i, o0 : o0 + outputs]
                        scale = scales[i]
                        if scale == f32(0):
                            if s == 0:
                                y[:] = f32(0)
                            continue
                        statistics[READS] += 1
                        if noise > f32(0):
                            at = offset + (i - done) * outputs
                            largest = _add_noise(z, normals[at : at + outputs], noise)
                        else:
                            largest = _largest(z)
                        if largest >= bound:
                            saturated = True
                            if max_halvings > 0:
                                # The first read's normals of this run are still needed: the
                                # re-read draws into the space behind them.
                                spare = normals[(offset + run * outputs + 63) // 64 * 64 :]
                                n, saturated = _read_again(
                                    sgemm, w_address, ld_w, X[b0 + i, i0 : i0 + inputs], z,
                                    xs[block * inputs :], spare, f32(1) / scale,
                                    (p0 + i - done) * outputs, place, tile_word,
                                    u32(sample0 + sample), k0, k1, max_halvings, noise, bound,
                                    dac_levels, transpose,
                                )  # fmt: skip
                                statistics[REREADS] += n
                                scale *= f32(2.0**n)
                            if saturated:
                                statistics[SATURATED] += 1
                        _digitise(z, y, bound, adc_step, scale, s > 0)
                    done += run


@kernel
def multiply(m0, m1, sgemm, W, X, Y, transpose, accumulate):
    """The ideal read of rows m0 .. m1 - 1: Y = X Wᵀ (or X W), without any periphery."""
    ld_w = W.shape[1]
    gemm(
        sgemm, address(Y, m0 * Y.shape[1]), Y.shape[1], address(X, m0 * X.shape[1]), X.shape[1],
        address(W, 0), ld_w, m1 - m0, X.shape[1], Y.shape[1], transpose, f32(1),
        f32(1) if accumulate else f32(0),
    )  # fmt: skip


@kernel
def subtract_outer(r0, r1, sgemm, W, X, D, lr):
    """The ideal update of rows r0 .. r1 - 1: W -= lr * Dᵀ X with X [M, C] and D [M, R]."""
    ld_w = W.shape[1]
    gemm_outer(
        sgemm, address(W, r0 * ld_w), ld_w, address(D, r0), D.shape[1], address(X, 0), X.shape[1],
        X.shape[0], r1 - r0, ld_w, -lr,
    )  # fmt: skip
