"""What digital memory gains of gradients that never end, as in Fig. 3 of Rasch et al. 2024 (AGAD).

    x = -X,  d = share · X + (1 - share) · Y,   X, Y standard normal

so that the mean gradient is on the diagonal alone. The gain counts what is in memory and the pulses
that were written of it: weights over the granularity of ideal devices.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.experiments.toy_problems import ConstantGradient
from rpucc.runs.toys.arrays import array


def constant_gradient(problem: ConstantGradient, tables: Mapping[str, Any], seed: int) -> float:
    """Return the mean gain of the elements, in pulses, over the second half of the inputs."""
    rng, n = np.random.default_rng(seed), problem.size
    weights = array(tables, n, n, seed)

    def total() -> NDArray[np.float64]:
        pulses = weights.main.W / np.float64(weights.main.device.granularity)
        return np.asarray(pulses + weights.buffers["buffer"])

    def send() -> None:
        X, Y = rng.standard_normal((2, problem.inputs, n), np.float32)
        d = np.float32(problem.share) * X + np.float32(1 - problem.share) * Y
        weights.update(-X, d, problem.lr)

    send()
    before = total()
    send()
    gain = total() - before
    diagonal = np.eye(n, dtype=bool)
    return float(gain[diagonal if problem.measure == "diagonal" else ~diagonal].mean())
