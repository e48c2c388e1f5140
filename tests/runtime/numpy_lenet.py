"""One floating-point training step of the LeNet in plain NumPy, double precision.

Written from the definition of the network and of gradient descent, without any of the package.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Weights = dict[str, Array]

CONVOLUTIONS = ("conv1", "conv2")
DENSE = ("fc1", "fc2")


def lenet_step(
    weights: Weights, x: Array, labels: Array, lr: float
) -> tuple[float, Array, Weights]:
    """(loss, logits, new weights): weights [R, C + 1] with the bias last, x [N, 1, 28, 28]."""
    weights = {name: W.astype(np.float64) for name, W in weights.items()}
    a = x.astype(np.float64)
    saved: dict[str, tuple[Array, ...]] = {}
    for name in CONVOLUTIONS:
        windows = np.lib.stride_tricks.sliding_window_view(a, (5, 5), axis=(2, 3))
        kernel = weights[name][:, :-1].reshape(-1, a.shape[1], 5, 5)
        z = np.einsum("ncyxij,rcij->nryx", windows, kernel) + weights[name][:, -1][:, None, None]
        t = np.tanh(z)
        n, r, height, width = t.shape
        blocks = t.reshape(n, r, height // 2, 2, width // 2, 2)
        pooled = blocks.max(axis=(3, 5))
        mask = blocks == pooled[:, :, :, None, :, None]
        saved[name] = (a, windows, t, mask)
        a = pooled
    flat = a.reshape(len(a), -1)
    hidden = np.tanh(flat @ weights["fc1"][:, :-1].T + weights["fc1"][:, -1])
    logits = hidden @ weights["fc2"][:, :-1].T + weights["fc2"][:, -1]

    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    loss = float(-np.log(probabilities[np.arange(len(x)), labels]).mean())
    d = (probabilities - np.eye(logits.shape[1])[labels]) / len(x)

    new: Weights = {}
    new["fc2"] = weights["fc2"] - lr * d.T @ with_ones(hidden)
    d = d @ weights["fc2"][:, :-1] * (1 - hidden**2)
    new["fc1"] = weights["fc1"] - lr * d.T @ with_ones(flat)
    d = (d @ weights["fc1"][:, :-1]).reshape(a.shape)
    for name in reversed(CONVOLUTIONS):
        below, windows, t, mask = saved[name]
        d = (mask * d[:, :, :, None, :, None]).reshape(t.shape) * (1 - t**2)
        gradient = np.einsum("nryx,ncyxij->rcij", d, windows).reshape(d.shape[1], -1)
        gradient = np.concatenate([gradient, d.sum(axis=(0, 2, 3))[:, None]], axis=1)
        new[name] = weights[name] - lr * gradient
        kernel = weights[name][:, :-1].reshape(-1, below.shape[1], 5, 5)
        spread = np.zeros_like(below)
        height, width = d.shape[2:]
        for i in range(5):
            for j in range(5):
                part = np.einsum("nryx,rc->ncyx", d, kernel[:, :, i, j])
                spread[:, :, i : i + height, j : j + width] += part
        d = spread
    return loss, logits, new


def with_ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
