"""What stands between digital numbers and an array: DAC, read noise, bound, ADC.

The scalar functions of the stages (`rpucc/stages/`) row by row, without the matrix product and the
management around it: those are in `read.py`.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.floats import float_of, largest_magnitude, magnitude_bits
from rpucc.runtime.kernels.jit import inlined, kernel
from rpucc.runtime.kernels.philox import DAC_ROUNDING, fill_words
from rpucc.stages.adc import Adc
from rpucc.stages.dac import Dac
from rpucc.stages.read_noise import ReadNoise
from rpucc.stages.signal_bound import SignalBound

f32 = nb.float32
i32 = nb.int32
i64 = nb.int64
u32 = nb.uint32

# Below the smallest normal float32 the inverse overflows: an input that small counts as 0.
TINY = np.finfo(np.float32).tiny


_nearest, _by_chance = inlined(Dac.nearest), inlined(Dac.by_chance)
with_noise = inlined(ReadNoise.noisy)
_clipped = inlined(SignalBound.clipped)
_to_level = inlined(Adc.nearest)


@inlined
def convert(x, out, inverse, dac_levels):
    """out = DAC(x * inverse), to the nearest of its levels; 0 levels: no DAC."""
    if dac_levels > f32(0):
        step = f32(1) / dac_levels
        for c in range(x.shape[0]):
            out[c] = _nearest(x[c] * inverse, dac_levels, step)
    else:
        for c in range(x.shape[0]):
            out[c] = x[c] * inverse


@inlined
def _convert_by_chance(x, out, inverse, dac_levels, words):
    """As `convert`, but rounded by chance.

    words: a uniform uint32 an input, of which the upper 24 bits count.
    """
    step = f32(1) / dac_levels
    for c in range(x.shape[0]):
        uniform = f32(i32(words[c] >> u32(8))) * f32(2.0**-24)
        out[c] = _by_chance(x[c] * inverse, dac_levels, step, uniform)


@kernel
def convert_row(x, out, inverse, settings, words, row, sample0, draws, retry, tile_word):
    """The DACs of one tile convert one row; retry: which of its reads it is."""
    if not settings.dac_stochastic:
        convert(x, out, inverse, settings.dac_levels)
        return
    sample = row // draws.positions
    first = (row - sample * draws.positions) * x.shape[0]
    fill_words(
        words, first, x.shape[0], draws.place << 8 | retry,
        i64(tile_word) + (DAC_ROUNDING << 24), sample0 + sample, i64(draws.k0), i64(draws.k1),
    )  # fmt: skip
    _convert_by_chance(x, out, inverse, settings.dac_levels, words[first & 63 :])


@inlined
def reduction(x, scale, n, worst_case):
    """What bound management divides the scaled input by in its nth re-read; 1 for n = 0.

    worst_case 0: 2^n. Else assumed |w| over alpha: as much as keeps the output within the bound
    whatever the signs are, and at least 2.
    """
    if worst_case == f32(0) or n == 0:
        return f32(2.0**n)
    total = f32(0)
    for c in range(x.shape[0]):
        total += abs(x[c])
    return max(total * worst_case / scale, f32(2))


@inlined
def add_noise(z, normals, noise):
    """Z += noise * normals; returns the largest |z| afterwards."""
    largest = i32(0)
    for r in range(z.shape[0]):
        v = with_noise(z[r], normals[r], noise)
        z[r] = v
        largest = max(largest, magnitude_bits(v))
    return float_of(largest)


@inlined
def digitise(z, y, bound, adc_step, factor):
    """Y = ADC(clip(z, ±bound)) * factor; adc_step 0: no ADC; UNBOUNDED: no clip."""
    if adc_step > f32(0):
        inverse = f32(1) / adc_step
        for r in range(z.shape[0]):
            y[r] = _to_level(_clipped(z[r], bound), inverse, adc_step) * factor
    else:
        for r in range(z.shape[0]):
            y[r] = _clipped(z[r], bound) * factor


@inlined
def digitised(z, bound, adc_step):
    """ADC(clip(z, ±bound)) of one value, as `digitise` has it."""
    if adc_step > f32(0):
        return _to_level(_clipped(z, bound), f32(1) / adc_step, adc_step)
    return _clipped(z, bound)


@kernel
def convert_rows(X, b0, rows, i0, inputs, noise_managed, dac_levels, xs, scales):
    """Scale and convert rows b0 .. b0 + rows - 1 of a column segment into xs [rows, inputs].

    scales[i] = max |x| of the row (0 below TINY: nothing is read), or 1 without noise management.
    """
    if not noise_managed:
        scales[:rows] = f32(1)
        if inputs == X.shape[1]:  # one long loop: rows may be too short for vectors
            convert(X[b0 : b0 + rows].reshape(-1), xs, f32(1), dac_levels)
            return
    for i in range(rows):
        x = X[b0 + i, i0 : i0 + inputs]
        if noise_managed:
            scale = largest_magnitude(x)
            scales[i] = scale if scale >= TINY else f32(0)
        inverse = f32(1) / scales[i] if scales[i] > f32(0) else f32(0)
        convert(x, xs[i * inputs : (i + 1) * inputs], inverse, dac_levels)
