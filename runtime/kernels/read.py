"""The read cycles: converters around a matrix product, noise and bound management.

One call reads all tiles of a grid for a range of input rows, forward or transposed, and adds the
partial sums digitally. Equations: Gokmen, Onen & Haensch 2017 (doi 10.3389/fnins.2017.00538);
the plain statement of the same computation is `rpucc.runtime.reference.read`.
"""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.blas import address, gemm
from rpucc.runtime.kernels.converters import (
    add_noise,
    convert_row,
    convert_rows,
    digitise,
    reduction,
)
from rpucc.runtime.kernels.copies import copy
from rpucc.runtime.kernels.floats import largest_magnitude
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.normals import fill_normals
from rpucc.runtime.kernels.product_stages import after_product
from rpucc.runtime.kernels.read_arguments import UNBOUNDED, Lines, Tile

f32 = nb.float32
i64 = nb.int64
u32 = nb.uint32

# Outputs that get their noise and are finished together: 16 KiB, so that they stay in L1.
RUN_OUTPUTS = 4096

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


@inlined
def product(rows, blas, W, tile, transpose, xs, zs, first, width, settings, scratch):
    """Outputs first .. first + width - 1 of a tile for rows of xs, into zs [rows, outputs].

    What the stages behind the product leave of it.
    """
    ld_w = W.shape[1]
    offset = first if transpose else first * ld_w
    gemm(
        blas, address(zs, first), tile.outputs, address(xs, 0), tile.inputs,
        tile.address + 4 * offset, ld_w, rows, tile.inputs, width, transpose, f32(1), f32(0),
    )  # fmt: skip
    after_product(rows, W, tile, transpose, xs, zs, first, width, settings.stages, scratch.sums)


@inlined
def measure(z, tile, settings, draws, normals, element, sample, retry):
    """What the integrators see of outputs z of one sample: noise is added; returns the largest |z|.

    element: which of the sample's outputs z begins with; retry: which of its reads it is.
    """
    if settings.noise > f32(0):
        fill_normals(
            normals, element, z.shape[0], draws.place << 8 | retry, i64(tile.word), sample,
            i64(draws.k0), i64(draws.k1),
        )  # fmt: skip
        return add_noise(z, normals[element & 63 :], settings.noise)
    return largest_magnitude(z)


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
    count, blas, W, X, b0, sample0, tile, transpose, settings, draws, scratch, statistics
):
    """Bound management: read the saturated rows of a block again, with a reduced input.

    scratch.rows_again[:count] are the saturated rows of the block zs [rows, outputs]; every
    re-read is one matrix product of those that still saturate, with fresh noise, until none does.
    Their last read is left in zs, and factors[row] is multiplied by its reduction.
    """
    rows, zs, normals = scratch.rows_again, scratch.zs, scratch.normals
    inputs, outputs, positions = tile.inputs, tile.outputs, draws.positions
    scales, factors = scratch.scales, scratch.scales[scratch.block :]
    xs, zs_again = scratch.xs[scratch.block * inputs :], zs[scratch.block * outputs :]
    n = 0
    while count > 0 and n < settings.max_halvings:
        n += 1
        statistics[REREADS] += count
        for k in range(count):
            row = rows[k]
            x = X[b0 + row, tile.i0 : tile.i0 + inputs]
            factors[row] = scales[row] * reduction(x, scales[row], n, settings.worst_case)
            convert_row(
                x, xs[k * inputs : (k + 1) * inputs], f32(1) / factors[row], settings,
                scratch.words, b0 + row, sample0, draws, n, tile.word,
            )  # fmt: skip
        product(count, blas, W, tile, transpose, xs, zs_again, 0, outputs, settings, scratch)
        left = 0
        for k in range(count):
            row = rows[k]
            z = zs[row * outputs : (row + 1) * outputs]
            copy(zs_again[k * outputs : (k + 1) * outputs], z)
            sample = (b0 + row) // positions
            first = ((b0 + row) - sample * positions) * outputs
            largest = measure(z, tile, settings, draws, normals, first, sample0 + sample, n)
            if largest >= settings.bound:
                rows[left] = row
                left += 1
        count = left
    statistics[SATURATED] += count


@kernel
def _read_probing(
    rows, blas, W, X, b0, sample0, tile, transpose, settings, draws, scratch, statistics
):
    """Read a block's rows through a large tile, each at the first scale that does not saturate.

    The same reads with the same noise as the plain way (a product, then `_read_again`), but of a
    read that saturates only the outputs up to the block that shows it. scratch.xs: the converted
    inputs; zs [rows, outputs] and factors get the results. xs_again, zs_again: rows side by side.
    """
    alive, xs, zs, normals = scratch.rows_again, scratch.xs, scratch.zs, scratch.normals
    inputs, outputs, positions = tile.inputs, tile.outputs, draws.positions
    scales, factors = scratch.scales, scratch.scales[scratch.block :]
    xs_again, zs_again = xs[scratch.block * inputs :], zs[scratch.block * outputs :]
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
        last = n == settings.max_halvings
        direct = n == 0 and count == rows  # the inputs lie side by side already
        for k in range(count):
            row = alive[k] = waiting[k]
            if n > 0:
                x = X[b0 + row, tile.i0 : tile.i0 + inputs]
                factor = scales[row] * reduction(x, scales[row], n, settings.worst_case)
                convert_row(
                    x, xs_again[k * inputs : (k + 1) * inputs], f32(1) / factor, settings,
                    scratch.words, b0 + row, sample0, draws, n, tile.word,
                )  # fmt: skip
            elif not direct:
                copy(xs[row * inputs : (row + 1) * inputs], xs_again[k * inputs : (k + 1) * inputs])
        left, again = count, 0
        done, width = 0, FIRST_PROBE
        while done < outputs and left > 0:
            width, before = min(width, outputs - done), left
            source = xs if direct else xs_again
            product(
                left, blas, W, tile, transpose, source, zs_again, done, width, settings, scratch
            )
            kept = 0
            for k in range(left):
                row = alive[k]
                z = zs_again[k * outputs + done : k * outputs + done + width]
                sample = (b0 + row) // positions
                first = ((b0 + row) - sample * positions) * outputs + done
                largest = measure(z, tile, settings, draws, normals, first, sample0 + sample, n)
                if largest >= settings.bound and not last:
                    waiting[again] = row
                    again += 1
                    continue
                if largest >= settings.bound:
                    factors[row] = f32(-1)  # saturates at the last scale: kept, and counted below
                if kept < k:  # rows that go on stay side by side
                    alive[kept] = row
                    if not direct:
                        a, b = kept * inputs, k * inputs
                        copy(xs_again[b : b + inputs], xs_again[a : a + inputs])
                    a, b = kept * outputs, k * outputs
                    copy(zs_again[b : b + done + width], zs_again[a : a + done + width])
                kept += 1
            if direct and kept < left:
                for k in range(kept):
                    a, b = k * inputs, alive[k] * inputs
                    copy(xs[b : b + inputs], xs_again[a : a + inputs])
                direct = False
            left = kept
            done += width
            width = NEXT_PROBE if (before - left) * FEW > before else outputs
        for k in range(left):
            row = alive[k]
            copy(zs_again[k * outputs : (k + 1) * outputs], zs[row * outputs : (row + 1) * outputs])
            statistics[SATURATED] += 1 if factors[row] < f32(0) else 0
            x = X[b0 + row, tile.i0 : tile.i0 + inputs]
            factors[row] = scales[row] * reduction(x, scales[row], n, settings.worst_case)
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
def read(m0, m1, sample0, blas, W, X, Y, lines, settings, draws, scratch, statistics):
    """Read rows m0 .. m1 - 1 of X through all tiles of W, into Y.

    W: float32 [R, C]. X: [M, inputs], Y: [M, outputs]. Row m is position m % positions of sample
    sample0 + m // positions. lines, settings, draws, scratch: see `read_arguments`.
    statistics: int64 [3] += tile reads, saturated ones, re-reads.
    """
    ld_w = W.shape[1]
    in_cuts, out_cuts, transpose = lines.in_cuts, lines.out_cuts, lines.transpose
    block, positions, bound, adc_step = (
        scratch.block, draws.positions, settings.bound, settings.adc_step
    )  # fmt: skip
    xs, zs, scales, rows_again = scratch.xs, scratch.zs, scratch.scales, scratch.rows_again
    factors = scales[block:]
    for b0 in range(m0, m1, block):
        rows = min(block, m1 - b0)
        for s in range(in_cuts.shape[0] - 1):
            i0 = in_cuts[s]
            inputs = in_cuts[s + 1] - i0
            convert_rows(
                X, b0, rows, i0, inputs, settings.noise_managed, settings.dac_levels, xs, scales
            )
            there = 0
            for t in range(out_cuts.shape[0] - 1):
                o0 = out_cuts[t]
                outputs = out_cuts[t + 1] - o0
                if lines.tiles[s, t] < 0:  # not there: its part of the sum is 0
                    if s == 0:
                        Y[b0 : b0 + rows, o0 : o0 + outputs] = f32(0)
                    continue
                there += 1
                tile = Tile(
                    address(W, i0 * ld_w + o0 if transpose else o0 * ld_w + i0), i0, inputs, o0,
                    outputs, u32(draws.purpose << 24 | lines.tiles[s, t]),
                )  # fmt: skip
                if settings.dac_stochastic:  # each tile has its own DACs
                    for i in range(rows):
                        inverse = f32(1) / scales[i] if scales[i] > f32(0) else f32(0)
                        convert_row(
                            X[b0 + i, i0 : i0 + inputs], xs[i * inputs : (i + 1) * inputs],
                            inverse, settings, scratch.words, b0 + i, sample0, draws, 0, tile.word,
                        )  # fmt: skip
                if settings.max_halvings > 0 and bound < UNBOUNDED and outputs >= PROBED_OUTPUTS:
                    _read_probing(
                        rows, blas, W, X, b0, sample0, tile, transpose, settings, draws, scratch,
                        statistics,
                    )  # fmt: skip
                    _add_up(zs, Y, b0, rows, o0, outputs, factors, s > 0, bound, adc_step)
                    continue
                product(rows, blas, W, tile, transpose, xs, zs, 0, outputs, settings, scratch)
                done = again = waiting = 0
                copy(scales[:rows], factors[:rows])
                while done < rows:  # runs of rows that belong to one sample and fit in L1
                    sample = (b0 + done) // positions
                    p0 = (b0 + done) - sample * positions
                    run = min(rows - done, positions - p0, max(1, RUN_OUTPUTS // outputs))
                    z = zs[done * outputs : (done + run) * outputs]
                    largest = measure(
                        z, tile, settings, draws, scratch.normals, p0 * outputs, sample0 + sample, 0
                    )
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
                        again, blas, W, X, b0, sample0, tile, transpose, settings, draws, scratch,
                        statistics,
                    )  # fmt: skip
                    for i in range(waiting):
                        row = rows_again[block + i]
                        _add_up(
                            zs[row * outputs : (row + 1) * outputs], Y, b0 + row, 1, o0, outputs,
                            factors[row:], s > 0, bound, adc_step,
                        )  # fmt: skip
            for i in range(rows):
                statistics[READS] += there if scales[i] > f32(0) else 0


@kernel
def read_groups(q0, q1, sample0, blas, W, X, Y, lines, settings, draws, scratch, statistics):
    """`read` of G independent matrices: W [G, R, C], X [N·G, P, inputs], Y [N·G, P, outputs].

    Image q of X belongs to sample sample0 + q // G and goes through matrix q % G; q0 .. q1 - 1 are
    read. lines.tiles: [G, S, B], the cuts those of one matrix; draws.positions = P.
    """
    groups = W.shape[0]
    for q in range(q0, q1):
        g = q % groups
        of_one = Lines(lines.in_cuts, lines.out_cuts, lines.tiles[g], lines.transpose)
        read(
            0, draws.positions, sample0 + q // groups, blas, W[g], X[q], Y[q], of_one, settings,
            draws, scratch, statistics,
        )  # fmt: skip
