"""Batch norm over [N, C, S]: statistics of channels, the normalised values, and their gradient.

A channel is worked on by one thread and its sums are in double precision, so results do not depend
on how channels are shared out.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.jit import kernel

f32 = nb.float32


@kernel
def batch_statistics(x, mean, var, momentum, epsilon, mean2, var2, centre, deviation, c0, c1):
    """Mean and deviation of the channels c0 to c1 of x, and what running mean and var become."""
    N, _, S = x.shape
    count = N * S
    for c in range(c0, c1):
        total = 0.0
        for n in range(N):
            row = x[n, c]
            for s in range(S):
                total += row[s]
        middle = total / count
        squares = 0.0
        for n in range(N):
            row = x[n, c]
            for s in range(S):
                apart = row[s] - middle
                squares += apart * apart
        spread = squares / count
        centre[c] = middle
        deviation[c] = np.sqrt(spread + epsilon)
        mean2[c] = mean[c] * momentum + middle * (1.0 - momentum)
        var2[c] = var[c] * momentum + spread * (1.0 - momentum)


@kernel
def normalise(x, scale, bias, centre, deviation, y, c0, c1):
    """y = (x - centre) / deviation · scale + bias for the channels c0 to c1."""
    N, _, S = x.shape
    for c in range(c0, c1):
        middle, slope, shift = centre[c], scale[c] / deviation[c], bias[c]
        for n in range(N):
            row, out = x[n, c], y[n, c]
            for s in range(S):
                out[s] = (row[s] - middle) * slope + shift


@kernel
def batch_norm_gradient(d, x, scale, centre, deviation, training, dx, dscale, dbias, c0, c1):
    """The gradients of x, scale and bias for the channels c0 to c1.

    training: 1 where centre and deviation are those of x, and move with it; 0 where they do not.
    """
    N, _, S = x.shape
    for c in range(c0, c1):
        middle, inverse = centre[c], f32(1) / deviation[c]
        total, along = 0.0, 0.0
        for n in range(N):
            row, slopes = x[n, c], d[n, c]
            for s in range(S):
                total += slopes[s]
                along += slopes[s] * ((row[s] - middle) * inverse)
        dbias[c], dscale[c] = total, along
        mean_d = f32(training * total / (N * S))
        mean_along = f32(training * along / (N * S))
        slope = scale[c] * inverse
        for n in range(N):
            row, slopes, out = x[n, c], d[n, c], dx[n, c]
            for s in range(S):
                hat = (row[s] - middle) * inverse
                out[s] = (slopes[s] - mean_d - hat * mean_along) * slope
