"""The mean of a pulsed update, in NumPy: what pulses do on average through each device's own step.

Of the stochastic update of Gokmen & Vlasov 2016 (arXiv 1603.07341), without its pulse trains.

A crosspoint is asked for n = lr |d x| / dw_min pulses, any number, in the direction -sign(d x).
With s(w), one pulse of its device at weight w without noise:

    w <- w + n (s(w) - w)

the expectation of one pulse that comes with probability n. Where the strongest crosspoint of the
update is asked for more than one, n is split evenly into so many parts, MOST_PARTS at most, each
from the weight that the last one left and cut to the device's bounds. There are no pulse trains:
no slots that could be too few, no chance, no noise from pulse to pulse.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.scalars.mean import MOST_PARTS

Array = NDArray[np.float64]
Step = Callable[[float, float, float, int, int], float]


def mean_update(
    W: Array, x: Array, d: Array, lr: float, dw_min: float, step: Step, low: Array, high: Array
) -> None:
    """Move W [R, C] in place with x [C] and d [R].

    step(w, direction, noise, r, c) is the device; low, high [R, C]: its bounds, infinite without.
    """
    pulses = -lr * np.outer(d, x) / dw_min
    move(W, pulses, float(np.max(np.abs(pulses))), step, low, high)


def move(W: Array, pulses: Array, most: float, step: Step, low: Array, high: Array) -> None:
    """Move the devices W [R, C] in place by so many pulses each, up where positive.

    most: the largest number of pulses, which says how many parts there are.
    """
    parts = min(int(np.ceil(most)), MOST_PARTS)
    for _ in range(parts):
        for r, c in np.argwhere(pulses):
            n, w = pulses[r, c] / parts, float(W[r, c])
            w += abs(n) * (step(w, float(np.sign(n)), 0.0, int(r), int(c)) - w)
            W[r, c] = np.clip(w, low[r, c], high[r, c]) if parts > 1 else w
