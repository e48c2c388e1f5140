"""The read cycles: converters around a matrix product, noise and bound management.

One call reads all tiles of a grid for a range of input rows, forward or transposed, and adds the
partial sums digitally. Equations: Gokmen, Onen & Haensch 2017 (doi 10.3389/fnins.2017.00538);
the plain statement of the same computation is `rpucc.runtime.reference.read`.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.blas import address, gemm
from rpucc.runtime.kernels.converters import (
    add_noise,
    convert_row,
    convert_rows,
    digitise,
    reduction,
)
from rpucc.runtime.kernels.floats import largest_magnitude
from rpucc.runtime.kernels.jit import kernel
from rpucc.runtime.kernels.normals import fill_normals

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32

# Outputs that get their noise and are finished together: 16 KiB, so that they stay in L1.
RUN_OUTPUTS = 4096

# A bound that no float32 exceeds (not inf: kernels are compiled for finite numbers).
UNBOUNDED = np.finfo(np.float32).max

# Rows of so many outputs fill whole vectors when they are finished one by one.
LONG_ROW = 128

# Under bound management a tile of so many outputs is multiplied a block of them at a time: a read
# known to saturate needs no further ones, because it is repeated and its outputs are dropped.
PROBED_OUTPUTS = 256
# The first block is small: where inputs are too large most of its reads saturate.
FIRST_PROBE, NEXT_PROBE = 64, 128
# Where less than one read of so many saturated in a block, the rest is one product.
FEW = 8

# Rows of the statistics vector that reads add to.
READS, SATURATED, REREADS = 0, 1, 2


@kernel
def _find_saturated(zs, outputs, first_row, run, scales, bound, rows, count):
    """Append to rows[count:] the rows of a run of reads that saturate; returns the new count."""
    for i in range(run):
        z = zs[i * outputs : (i + 1) * outputs]
        if scales[i] > f32(0) and largest_magnitude(z) >= bound:
            rows[count] = first_row + i
            count += 1
    return count


@kernel
def _read_again(
    count, rows, blas, w_address, ld_w, X, b0, i0, inputs, zs, outputs, xs, zs_again, normals,
    scales, factors, positions, sample0, place, tile_word, k0, k1, max_halvings, worst_case, noise,
    bound, dac_levels, dac_stochastic, words, transpose, statistics,
):  # fmt: skip
    """Bound management: read the saturated rows of a block again, with a reduced input.

    rows[:count] are the saturated rows of the block zs [rows, outputs]; every re-read is one
    matrix product of those that still saturate, with fresh noise, until none does. Their last
    read is left in zs, and factors[row] is multiplied by its reduction.
    """
    n = 0
    while count > 0 and n < max_halvings:
        n += 1
        statistics[REREADS] += count
        for k in range(count):
            row = rows[k]
            x = X[b0 + row, i0 : i0 + inputs]
            factors[row] = scales[row] * reduction(x, scales[row], n, worst_case)
            convert_row(
                x, xs[k * inputs : (k + 1) * inputs], f32(1) / factors[row], dac_levels,
                dac_stochastic, words, b0 + row, positions, sample0, place << 8 | n, tile_word,
                k0, k1,
            )  # fmt: skip
        gemm(
            blas, address(zs_again, 0), outputs, address(xs, 0), inputs, w_address, ld_w,
            count, inputs, outputs, transpose, f32(1), f32(0),
        )  # fmt: skip
        left = 0
        for k in range(count):
            row = rows[k]
            z = zs[row * outputs : (row + 1) * outputs]
            z[:] = zs_again[k * outputs : (k + 1) * outputs]
            if noise > f32(0):
                sample = (b0 + row) // positions
                first = ((b0 + row) - sample * positions) * outputs
                fill_normals(
                    normals, first, outputs, place << 8 | n, i64(tile_word), sample0 + sample,
                    i64(k0), i64(k1),
                )  # fmt: skip
                largest = add_noise(z, normals[first & 63 :], noise)
            else:
                largest = largest_magnitude(z)
            if largest >= bound:
                rows[left] = row
                left += 1
        count = left
    statistics[SATURATED] += count


@kernel
def _read_probing(
    rows, blas, w_address, ld_w, X, b0, i0, inputs, zs, outputs, xs, xs_again, zs_again, normals,
    scales, factors, alive, positions, sample0, place, tile_word, k0, k1, max_halvings, worst_case,
    noise, bound, dac_levels, dac_stochastic, words, transpose, statistics,
):  # fmt: skip
    """Read a block's rows through a large tile, each at the first scale that does not saturate.

    The same reads with the same noise as the plain way (a product, then `_read_again`), but of a
    read that saturates only the outputs up to the block that shows it. xs: the converted inputs;
    zs [rows, outputs] and factors get the results. Scratch: xs_again, zs_again: rows side by
    side, alive[2 rows].
    """
    waiting = alive[rows:]
    count = 0
    for i in range(rows):
        factors[i] = scales[i]
        if scales[i] > f32(0):
            waiting[count] = i
            count += 1
        else:
            zs[i * outputs : (i + 1) * outputs] = f32(0)
    n = 0
    while count > 0:
        last = n == max_halvings
        direct = n == 0 and count == rows  # the inputs lie side by side already
        for k in range(count):
            row = alive[k] = waiting[k]
            if n > 0:
                x = X[b0 + row, i0 : i0 + inputs]
                factor = scales[row] * reduction(x, scales[row], n, worst_case)
                convert_row(
                    x, xs_again[k * inputs : (k + 1) * inputs], f32(1) / factor, dac_levels,
                    dac_stochastic, words, b0 + row, positions, sample0, place << 8 | n, tile_word,
                    k0, k1,
                )  # fmt: skip
            elif not direct:
                xs_again[k * inputs : (k + 1) * inputs] = xs[row * inputs : (row + 1) * inputs]
        left, again = count, 0
        done, width = 0, FIRST_PROBE
        while done < outputs and left > 0:
            width, before = min(width, outputs - done), left
            offset = done if transpose else done * ld_w
            source = address(xs if direct else xs_again, 0)
            gemm(
                blas, address(zs_again, done), outputs, source, inputs,
                w_address + 4 * offset, ld_w, left, inputs, width, transpose, f32(1), f32(0),
            )  # fmt: skip
            kept = 0
            for k in range(left):
                row = alive[k]
                z = zs_again[k * outputs + done : k * outputs + done + width]
                if noise > f32(0):
                    sample = (b0 + row) // positions
                    first = ((b0 + row) - sample * positions) * outputs + done
                    fill_normals(
                        normals, first, width, place << 8 | n, i64(tile_word), sample0 + sample,
                        i64(k0), i64(k1),
                    )  # fmt: skip
                    largest = add_noise(z, normals[first & 63 :], noise)
                else:
                    largest = largest_magnitude(z)
                if largest >= bound and not last:
                    waiting[again] = row
                    again += 1
                    continue
                if largest >= bound:
                    factors[row] = f32(-1)  # saturates at the last scale: kept, and counted below
                if kept < k:  # rows that go on stay side by side
                    alive[kept] = row
                    if not direct:
                        a, b = kept * inputs, k * inputs
                        xs_again[a : a + inputs] = xs_again[b : b + inputs]
                    a, b = kept * outputs, k * outputs
                    zs_again[a : a + done + width] = zs_again[b : b + done + width]
                kept += 1
            if direct and kept < left:
                for k in range(kept):
                    a, b = k * inputs, alive[k] * inputs
                    xs_again[a : a + inputs] = xs[b : b + inputs]
                direct = False
            left = kept
            done += width
            width = NEXT_PROBE if (before - left) * FEW > before else outputs
        for k in range(left):
            row = alive[k]
            zs[row * outputs : (row + 1) * outputs] = zs_again[k * outputs : (k + 1) * outputs]
            statistics[SATURATED] += 1 if factors[row] < f32(0) else 0
            x = X[b0 + row, i0 : i0 + inputs]
            factors[row] = scales[row] * reduction(x, scales[row], n, worst_case)
        statistics[REREADS] += again
        count = again
        n += 1


@kernel
def _add_up(zs, Y, row, run, o0, outputs, factors, accumulate, bound, adc_step):
    """Digitise a run of reads zs [run, outputs], rescale by factors and put or add them into Y."""
    if not accumulate and outputs >= LONG_ROW:
        for i in range(run):
            z = zs[i * outputs : (i + 1) * outputs]
            digitise(z, Y[row + i, o0 : o0 + outputs], bound, adc_step, factors[i])
        return
    digitise(zs, zs, bound, adc_step, f32(1))  # short rows: one long loop first
    for i in range(run):
        z = zs[i * outputs : (i + 1) * outputs]
        y = Y[row + i, o0 : o0 + outputs]
        factor = factors[i]
        if accumulate:
            for r in range(outputs):
                y[r] += z[r] * factor
        else:
            for r in range(outputs):
                y[r] = z[r] * factor


@kernel
def read(
    m0, m1, blas, W, X, Y, in_cuts, out_cuts, tiles, positions, sample0, purpose, place, k0, k1,
    noise_managed, max_halvings, worst_case, noise, bound, dac_levels, dac_stochastic, adc_step,
    transpose, block, xs, zs, scales, normals, words, rows_again, statistics,
):  # fmt: skip
    """Read rows m0 .. m1 - 1 of X through all tiles of W, into Y.

    W: float32 [R, C]. X: [M, inputs], Y: [M, outputs]; (inputs, outputs) is (C, R), or (R, C)
    when `transpose` (the backward cycle). Row m is position m % positions of sample
    sample0 + m // positions. in_cuts [S + 1], out_cuts [B + 1]: the tile borders;
    tiles: int64 [S, B], the tile ids that address the noise.
    noise_managed: scale each row of each segment by its max |x| (0: nothing is read, Y = 0).
    max_halvings: bound management's limit, 0 for none; worst_case: see `reduction`.
    noise: sigma. bound: alpha, or UNBOUNDED. dac_levels: 2^(bits - 1) - 1,
    adc_step: 2 alpha / (2^bits - 2); 0 for no converter. dac_stochastic: the DACs of every tile
    round by chance. place: which of the layer's places in the network reads (a shared matrix has
    several); with purpose, tile, sample, position and retry it addresses the draws.
    Scratch: xs [2 * block * longest segment], zs [2 * block * most outputs of a tile],
    scales [2 * block], normals [(block + 1) * most outputs of a tile + 256],
    words uint32 [longest segment + 128], rows_again int64 [2 * block].
    statistics: int64 [3] += tile reads, saturated ones, re-reads.
    """
    ld_w = W.shape[1]
    factors = scales[block:]
    for b0 in range(m0, m1, block):
        rows = min(block, m1 - b0)
        for s in range(in_cuts.shape[0] - 1):
            i0 = in_cuts[s]
            inputs = in_cuts[s + 1] - i0
            convert_rows(X, b0, rows, i0, inputs, noise_managed, dac_levels, xs, scales)
            for t in range(out_cuts.shape[0] - 1):
                o0 = out_cuts[t]
                outputs = out_cuts[t + 1] - o0
                w_address = address(W, i0 * ld_w + o0 if transpose else o0 * ld_w + i0)
                tile_word = u32(purpose << 24 | tiles[s, t])
                if dac_stochastic:  # each tile has its own DACs
                    for i in range(rows):
                        inverse = f32(1) / scales[i] if scales[i] > f32(0) else f32(0)
                        convert_row(
                            X[b0 + i, i0 : i0 + inputs], xs[i * inputs : (i + 1) * inputs],
                            inverse, dac_levels, True, words, b0 + i, positions, sample0,
                            place << 8, tile_word, k0, k1,
                        )  # fmt: skip
                if max_halvings > 0 and bound < UNBOUNDED and outputs >= PROBED_OUTPUTS:
                    _read_probing(
                        rows, blas, w_address, ld_w, X, b0, i0, inputs, zs, outputs, xs,
                        xs[block * inputs :], zs[block * outputs :], normals, scales, factors,
                        rows_again, positions, sample0, place, tile_word, k0, k1, max_halvings,
                        worst_case, noise, bound, dac_levels, dac_stochastic, words, transpose,
                        statistics,
                    )  # fmt: skip
                    _add_up(zs, Y, b0, rows, o0, outputs, factors, s > 0, bound, adc_step)
                    continue
                gemm(
                    blas, address(zs, 0), outputs, address(xs, 0), inputs, w_address, ld_w,
                    rows, inputs, outputs, transpose, f32(1), f32(0),
                )  # fmt: skip
                done = again = waiting = 0
                factors[:rows] = scales[:rows]
                while done < rows:  # runs of rows that belong to one sample and fit in L1
                    sample = (b0 + done) // positions
                    p0 = (b0 + done) - sample * positions
                    run = min(rows - done, positions - p0, max(1, RUN_OUTPUTS // outputs))
                    z = zs[done * outputs : (done + run) * outputs]
                    if noise > f32(0):
                        first = p0 * outputs
                        fill_normals(
                            normals, first, run * outputs, place << 8, i64(tile_word),
                            sample0 + sample, i64(k0), i64(k1),
                        )  # fmt: skip
                        largest = add_noise(z, normals[first & 63 :], noise)
                    else:
                        largest = largest_magnitude(z)
                    if largest >= bound:  # finished below, when all of the block have been seen
                        again = _find_saturated(
                            z, outputs, done, run, scales[done:], bound, rows_again, again
                        )  # fmt: skip
                        for i in range(run):
                            rows_again[block + waiting + i] = done + i
                        waiting += run
                    else:
                        _add_up(
                            z, Y, b0 + done, run, o0, outputs, factors[done:], s > 0, bound,
                            adc_step,
                        )  # fmt: skip
                    done += run
                if waiting > 0:
                    _read_again(
                        again, rows_again, blas, w_address, ld_w, X, b0, i0, inputs, zs, outputs,
                        xs[block * inputs :], zs[block * outputs :], normals, scales, factors,
                        positions, sample0, place, tile_word, k0, k1, max_halvings, worst_case,
                        noise, bound, dac_levels, dac_stochastic, words, transpose, statistics,
                    )  # fmt: skip
                    for i in range(waiting):
                        row = rows_again[block + i]
                        _add_up(
                            zs[row * outputs : (row + 1) * outputs], Y, b0 + row, 1, o0, outputs,
                            factors[row:], s > 0, bound, adc_step,
                        )  # fmt: skip
            for i in range(rows):
                statistics[READS] += out_cuts.shape[0] - 1 if scales[i] > f32(0) else 0


@kernel
def read_groups(
    q0, q1, blas, W, X, Y, in_cuts, out_cuts, tiles, positions, sample0, purpose, place, k0, k1,
    noise_managed, max_halvings, worst_case, noise, bound, dac_levels, dac_stochastic, adc_step,
    transpose, block, xs, zs, scales, normals, words, rows_again, statistics,
):  # fmt: skip
    """`read` of G independent matrices: W [G, R, C], X [N·G, P, inputs], Y [N·G, P, outputs].

    Image q of X belongs to sample sample0 + q // G and goes through matrix q % G; q0 .. q1 - 1 are
    read. tiles: int64 [G, S, B]; positions = P; the cuts are those of one matrix.
    """
    groups = W.shape[0]
    for q in range(q0, q1):
        g = q % groups
        read(
            0, positions, blas, W[g], X[q], Y[q], in_cuts, out_cuts, tiles[g], positions,
            sample0 + q // groups, purpose, place, k0, k1, noise_managed, max_halvings, worst_case,
            noise, bound, dac_levels, dac_stochastic, adc_step, transpose, block, xs, zs, scales,
            normals, words, rows_again, statistics,
        )  # fmt: skip
