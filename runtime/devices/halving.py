"""Where up and down steps of devices cancel, for models that have no formula of it.

Not for a user's own model, whose `step` is all that there is of it: `symmetry.py`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rpucc.runtime.devices.base import FloatArray

HALVINGS = 40


def cancelling(
    net: Callable[[FloatArray], FloatArray], low: FloatArray, high: FloatArray
) -> FloatArray:
    """The weight of each device between low and high at which `net` is 0, by halving; nan if none.

    net(w): up step less down step of the devices at weights w. Weights that pulses of both
    directions lead to are meant: above 0 at the lower bound and below it at the upper one.
    """
    left, right = low.copy(), high.copy()
    exists = (net(low) > 0) & (net(high) < 0)
    for _ in range(HALVINGS):
        middle = np.asarray((left + right) / np.float32(2))
        up = net(middle) > 0
        left, right = np.where(up, middle, left), np.where(up, right, middle)
    return np.where(exists, (left + right) / np.float32(2), np.float32(np.nan))
