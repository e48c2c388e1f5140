"""How many pulses zero-shifting takes, and how far from the symmetry point it ends.

Soft bounds: a pair of an up and a down pulse leaves 1 - (s_up + s_down) / w_max of the distance, so
pulses are needed in proportion to 1 / s, and the last one ends half a step beside the point.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from rpucc.experiments.toy_problems import ZeroShiftCost
from rpucc.runs.toys.arrays import array
from rpucc.runtime.devices.symmetry import symmetry_points

MOST = 10_000_000
SETTLED = 40
"""Pairs of pulses, as a multiple of 1 / step: what is left of any distance is nothing then."""


def zero_shift_cost(problem: ZeroShiftCost, tables: Mapping[str, Any], seed: int) -> float:
    """Return what the problem says, of one device that starts at its upper bound."""
    device = array(tables, 1, 1, seed)
    plane = device.main
    device.program(np.full((1, 1), np.float32(1e6)))  # its bound cuts that
    found = symmetry_points(plane.device, tuple(plane.parameters), (1, 1))
    point = float(found.weights[0, 0])
    up, down = np.ones((1, 1), np.int64), np.full((1, 1), -1, np.int64)
    sent = 0
    if problem.measure == "pulses":
        while abs(device.weights[0, 0] - point) > problem.within and sent < MOST:
            device.pulse(up)
            device.pulse(down)
            sent += 2
        return float(sent)
    for _ in range(int(SETTLED / plane.device.granularity)):
        device.pulse(up)
        device.pulse(down)
    return abs(float(device.weights[0, 0] - point))
