"""The pulse trains of an update: how many slots, how likely lines fire (physics.md section 3)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rpucc.runtime.scalars.floats import whole

f32 = np.float32
i32 = np.int32


def gains(
    x_max: Any, d_max: Any, lr: Any, dw_min: Any, bl_max: int, managed: int, bl_managed: bool
) -> tuple[Any, Any, Any]:
    """(BL, Cx, Cd) of one update from the largest |x| and |d|; BL = 0 where nothing can fire.

    k = sqrt(lr / (BL dw_min)); Cx = Cd = k, or with update management
    Cx = k sqrt(d_max / x_max), Cd = k sqrt(x_max / d_max); update BL management takes the
    smallest BL that can carry lr x_max d_max (Gokmen et al. 2017). BL is int32, all else float32;
    x_max counts only where something is managed. managed: 0, 1, or 2 where an update that asks for
    more than bl_max pulses lets the largest x fire in every slot, and cuts rows alone.
    """
    bl = i32(bl_max)
    needed = f32(0)
    if bl_managed or managed > 1:
        needed = lr * x_max * d_max / dw_min
    if bl_managed:
        slots = whole(needed, f32(bl_max))
        slots += i32(1) if f32(slots) < needed else i32(0)
        bl = min(i32(bl_max), max(i32(1), slots))
    used = d_max != f32(0) and (x_max != f32(0) or not (managed or bl_managed))
    ratio = f32(math.sqrt(d_max / x_max)) if managed else f32(1)
    if managed > 1 and needed > f32(bl_max):
        ratio *= f32(math.sqrt(f32(bl_max) / needed))
    k = f32(math.sqrt(lr / (f32(bl) * dw_min)))
    return bl if used else i32(0), k * ratio if used else f32(0), k / ratio if used else f32(0)


def first_byte(level: Any) -> Any:
    """A draw whose top byte is below this fires; one that equals it needs its other 16 bits.

    level: 2^24 times the probability, as an int32.
    """
    return min(level >> i32(16), i32(255))
