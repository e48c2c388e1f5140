"""One floating-point training step of the LeNet, and of two that share their weights, in NumPy.

Double precision, written from the definition of the networks and of gradient descent, without any
of the package.
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
    hidden, saved = tower(weights, x)
    loss, logits, d, gradient = classified(weights["fc2"], hidden, labels)
    gradients = {"fc2": gradient, **tower_gradients(weights, saved, d)}
    return loss, logits, {name: weights[name] - lr * gradients[name] for name in weights}


def siamese_step(
    weights: Weights, left: Array, right: Array, labels: Array, lr: float
) -> tuple[float, Array, Weights]:
    """The same of two LeNets with one set of weights: the class of |left - right| before fc2."""
    weights = {name: W.astype(np.float64) for name, W in weights.items()}
    (a, saved_a), (b, saved_b) = (tower(weights, x) for x in (left, right))
    loss, logits, d, gradient = classified(weights["fc2"], np.abs(a - b), labels)
    d = d * np.sign(a - b)
    of_left, of_right = (
        tower_gradients(weights, saved, each) for saved, each in ((saved_a, d), (saved_b, -d))
    )
    gradients = {"fc2": gradient, **{name: of_left[name] + of_right[name] for name in of_left}}
    return loss, logits, {name: weights[name] - lr * gradients[name] for name in weights}


def classified(W: Array, hidden: Array, labels: Array) -> tuple[float, Array, Array, Array]:
    """(mean cross-entropy, logits, its gradient at `hidden`, its gradient at W)."""
    logits = hidden @ W[:, :-1].T + W[:, -1]
    exps = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = exps / exps.sum(axis=1, keepdims=True)
    loss = float(-np.log(probabilities[np.arange(len(hidden)), labels]).mean())
    d = (probabilities - np.eye(logits.shape[1])[labels]) / len(hidden)
    return loss, logits, d @ W[:, :-1], d.T @ with_ones(hidden)


def tower(weights: Weights, x: Array) -> tuple[Array, dict[str, Any]]:
    """What the last layer but one gives, [N, 128], and what its gradients need."""
    a = x.astype(np.float64)
    saved: dict[str, Any] = {}
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
    saved["fc1"] = (a, flat, hidden)
    return hidden, saved


def tower_gradients(weights: Weights, saved: dict[str, Any], d: Array) -> Weights:
    """Gradients of the tower's weights, of d at its result."""
    a, flat, hidden = saved["fc1"]
    d = d * (1 - hidden**2)
    found = {"fc1": d.T @ with_ones(flat)}
    d = (d @ weights["fc1"][:, :-1]).reshape(a.shape)
    for name in reversed(CONVOLUTIONS):
        below, windows, t, mask = saved[name]
        d = (mask * d[:, :, :, None, :, None]).reshape(t.shape) * (1 - t**2)
        gradient = np.einsum("nryx,ncyxij->rcij", d, windows).reshape(d.shape[1], -1)
        found[name] = np.concatenate([gradient, d.sum(axis=(0, 2, 3))[:, None]], axis=1)
        kernel = weights[name][:, :-1].reshape(-1, below.shape[1], 5, 5)
        spread = np.zeros_like(below)
        height, width = d.shape[2:]
        for i in range(5):
            for j in range(5):
                part = np.einsum("nryx,rc->ncyx", d, kernel[:, :, i, j])
                spread[:, :, i : i + height, j : j + width] += part
        d = spread
    return found


def with_ones(x: Array) -> Array:
    return np.concatenate([x, np.ones((len(x), 1))], axis=1)
