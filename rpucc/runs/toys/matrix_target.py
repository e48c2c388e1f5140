"""A matrix that learns a target, as in Fig. 4 of Rasch et al. 2024 (AGAD).

    d = (W - target) x,  x standard normal,  one vector an update

The error is the standard deviation of W - target over the matrix, in percent of a weight of 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpucc.experiments.toy_problems import MatrixTarget
from rpucc.runs.toys.arrays import array

LOOKS = 50
"""Inputs between two looks at the weights."""


def matrix_target(problem: MatrixTarget, tables: Mapping[str, Any], seed: int) -> float:
    """Return the error over the last inputs, percent."""
    rng = np.random.default_rng(seed)
    n = problem.size
    target = np.clip(problem.spread * rng.standard_normal((n, n)), -1, 1).astype(np.float32)
    weights = array(tables, n, n, seed)
    errors = []
    for t in range(1, problem.inputs + 1):
        x = rng.standard_normal(n, np.float32)
        weights.update(x, weights.read(x) - target @ x, problem.lr)
        if t > problem.inputs - problem.window and t % LOOKS == 0:
            errors.append(float(np.std(weights.weights - target)))
    return 100 * float(np.mean(errors))
