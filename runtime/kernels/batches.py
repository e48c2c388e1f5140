"""Moving samples in and scores out: the ends of a training step."""

from __future__ import annotations

import numba as nb

from rpucc.runtime.kernels.jit import kernel

f32 = nb.float32


@kernel
def gather(data, order, first, out, scale, shift):
    """out[i] = data[order[first + i]] * scale + shift, for all rows of out.

    data: [n, features] of uint8 or float32; out: float32 [batch, features].
    """
    for i in range(out.shape[0]):
        row = data[order[first + i]]
        for c in range(out.shape[1]):
            out[i, c] = f32(row[c]) * scale + shift


@kernel
def count_errors(outputs, labels):
    """How many rows of outputs [M, K] have their largest value elsewhere than at labels [M]."""
    errors = 0
    for m in range(outputs.shape[0]):
        best = 0
        for k in range(1, outputs.shape[1]):
            if outputs[m, k] > outputs[m, best]:
                best = k
        errors += 1 if best != labels[m] else 0
    return errors
