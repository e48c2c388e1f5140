"""The mean of what pulse trains do: in how many parts an update moves its devices."""

from __future__ import annotations

from typing import Any

import numpy as np

f32 = np.float32
i32 = np.int32

MOST_PARTS = 4
"""A device whose step changes along the way follows it in so many parts at most."""


def parts_of(x_max: Any, d_max: Any, lr: Any, dw_min: Any) -> Any:
    """How many parts, of a pulse each at most: as many as the strongest crosspoint has pulses.

    From the largest |x| and |d|, all float32; 0 where nothing moves, else 1 to MOST_PARTS.
    """
    asked = lr * x_max * d_max / dw_min
    whole = i32(min(asked, f32(MOST_PARTS)))
    whole += i32(1) if f32(whole) < asked else i32(0)
    return min(whole, i32(MOST_PARTS))
