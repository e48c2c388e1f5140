"""Softmax over rows, its loss, and one-hot labels."""

from __future__ import annotations

import numba as nb
import numpy as np

from rpucc.runtime.kernels.jit import kernel

f32 = nb.float32


@kernel
def softmax_rows(x, out):
    """out[m] = softmax(x[m]) for x [M, K]."""
    for m in range(x.shape[0]):
        largest = x[m, 0]
        for k in range(1, x.shape[1]):
            largest = max(largest, x[m, k])
        total = f32(0)
        for k in range(x.shape[1]):
            e = np.exp(x[m, k] - largest)
            out[m, k] = e
            total += e
        for k in range(x.shape[1]):
            out[m, k] /= total


@kernel
def cross_entropy_rows(x, labels, out):
    """Mean of log sum exp(x[m]) - x[m, label] over the rows, in double precision."""
    total = 0.0
    for m in range(x.shape[0]):
        largest = x[m, 0]
        for k in range(1, x.shape[1]):
            largest = max(largest, x[m, k])
        exps = 0.0
        for k in range(x.shape[1]):
            exps += np.exp(x[m, k] - largest)
        total += np.log(exps) + largest - x[m, labels[m]]
    out[...] = total / x.shape[0]


@kernel
def cross_entropy_head(logits, labels, divisor, loss, out):
    """Mean cross entropy, and out = (softmax(logits) - one hot) / divisor, for logits [M, K].

    Returns the first row whose label is no class (nothing is computed then), or -1.
    """
    classes = logits.shape[1]
    for m in range(logits.shape[0]):
        if labels[m] < 0 or labels[m] >= classes:
            return m
    total = 0.0
    for m in range(logits.shape[0]):
        x, y = logits[m], out[m]
        largest = x[0]
        for k in range(1, classes):
            largest = max(largest, x[k])
        exps = 0.0
        for k in range(classes):
            e = np.exp(x[k] - largest)
            y[k] = e
            exps += e
        total += np.log(exps) + largest - x[labels[m]]
        share = f32(1.0 / exps)
        for k in range(classes):
            y[k] *= share
        y[labels[m]] -= f32(1)
        for k in range(classes):
            y[k] /= divisor
    loss[...] = total / logits.shape[0]
    return -1


@kernel
def one_hot_rows(labels, values, out):
    """out[m] = values[0], and values[1] at labels[m]."""
    for m in range(out.shape[0]):
        out[m] = values[0]
        out[m, labels[m]] = values[1]
