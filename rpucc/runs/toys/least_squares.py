"""Least squares on one row of devices, as in Fig. 2 of arXiv 2502.06309.

    minimise |X (w - truth)|² / (2 vectors · columns),  X standard normal, truth 0.5 · normal

by full batches: every step sends all vectors with their mean gradient, one after the other; W
starts at 1. Cells of several arrays transfer as their tables say, once a step with
`transfer_by_minibatch`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpucc.experiments.toy_problems import LeastSquares
from rpucc.runs.toys.arrays import array

WINDOW = 10
"""The loss is a mean over the last steps, one in so many of all."""


def least_squares(problem: LeastSquares, tables: Mapping[str, Any], seed: int) -> float:
    """Return the mean loss over the last tenth of the steps."""
    rng = np.random.default_rng(seed)
    truth = 0.5 * rng.standard_normal(problem.columns)
    X = rng.standard_normal((problem.vectors, problem.columns)).astype(np.float32)
    targets = X @ truth.astype(np.float32)
    weights = array(tables, 1, problem.columns, seed)
    weights.program(np.ones((1, problem.columns)))
    losses = []
    for _ in range(problem.steps):
        error = weights.read(X)[:, 0] - targets
        losses.append(float(np.mean(error**2)) / 2 / problem.columns)
        weights.update(X, error[:, None] / problem.vectors, problem.lr)
    return float(np.mean(losses[-max(1, problem.steps // WINDOW) :]))
