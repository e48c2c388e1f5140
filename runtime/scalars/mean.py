"""The mean of what pulse trains do: in how many parts an update moves its devices."""

from __future__ import annotations

from typing import Any

import numpy as np

from rpucc.runtime.scalars.floats import whole

f32 = np.float32
i32 = np.int32

MOST_PARTS = 4
"""A device whose step changes along the way follows it in so many parts at most."""


def parts_of(x_max: Any, d_max: Any, lr: Any, dw_min: Any) -> Any:
    """How many parts, of a pulse each at most: as many as the strongest crosspoint has pulses.

    From the largest |x| and |d|, all float32; 0 where nothing moves, else 1 to MOST_PARTS.
    """
    asked = lr * x_max * d_max / dw_min
    parts = whole(asked, f32(MOST_PARTS))
    parts += i32(1) if f32(parts) < asked else i32(0)
    return min(parts, i32(MOST_PARTS))
