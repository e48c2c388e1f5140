"""One weight of several arrays that learns a number, as in the toy of arXiv 2510.02516.

    minimise (w - b)²,   b one of 2^16 numbers in [-1, 1),   the gradient 2 (w - b) + noise

Several weights are rows of one array, fed with 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpucc.experiments.toy_problems import ScalarTarget
from rpucc.runs.toys.arrays import array

BLOCK = 4096
"""Steps whose noise is drawn at once."""


def scalar_target(problem: ScalarTarget, tables: Mapping[str, Any], seed: int) -> float:
    """Return the mean loss over the last quarter of the steps."""
    rng, n = np.random.default_rng(seed), problem.weights
    b = (rng.integers(-32768, 32768, n) / 32768).astype(np.float32)
    weights = array(tables, n, 1, seed)
    one, total, counted = np.ones(1, np.float32), 0.0, problem.steps - 3 * problem.steps // 4
    for first in range(0, problem.steps, BLOCK):
        noise = problem.noise * rng.standard_normal((BLOCK, n), np.float32)
        for t in range(first, min(first + BLOCK, problem.steps)):
            off = weights.weights[:, 0] - b
            if t >= problem.steps - counted:
                total += float(np.mean(off**2))
            weights.update(one, 2 * off + noise[t - first], problem.lr)
    return total / counted
