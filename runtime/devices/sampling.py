"""What the pulsed devices share: how the steps and bounds of one are drawn, and its reference.

Two conventions for each of two things (`asymmetry`, `consistency`): rpucc's own, and those of Rasch
et al. 2021 (arXiv 2104.02184), which published device presets are fitted with. Not for what a pulse
does: that is each model's own file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.target.values import ParameterValue

FloatArray = NDArray[np.float32]
f32 = np.float32

# A spread may not push a step or a bound through zero: both are kept above this fraction of
# their mean (3.3 standard deviations at the baseline's 30 %).
FLOOR = 0.01

TWO_SIDED, ONE_SIDED = "two-sided", "one-sided"
FLOORED, MIRRORED = "floor", "mirror"

DEFAULTS: Mapping[str, ParameterValue] = {
    "dw_min_log_normal": False,
    "asymmetry": TWO_SIDED,
    "consistency": FLOORED,
    "corrupt_devices_prob": 0.0,
    "corrupt_devices_range": 0.1,
    "reference_mean": 0.0,
    "reference_std": 0.0,
}
RANGES: Mapping[str, tuple[float, float]] = {
    "corrupt_devices_prob": (0.0, 1.0),
    "corrupt_devices_range": (0.0, 1e6),
    "reference_mean": (-1e6, 1e6),
    "reference_std": (0.0, 1e6),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "asymmetry": (TWO_SIDED, ONE_SIDED),
    "consistency": (FLOORED, MIRRORED),
}
MEANINGS: Mapping[str, str] = {
    "dw_min_log_normal": "whether a device's step is exp(dw_min_dtod ζ) times the mean one, in "
    "place of 1 + dw_min_dtod ζ",
    "asymmetry": "two-sided: up steps (1 + β), down steps (1 - β) times a device's own; one-sided: "
    "only the side that β makes smaller changes, and the spread of β adds to that of the step",
    "consistency": "of what a spread pushes through zero; floor: kept at 1 % of the mean, mirror: "
    "its magnitude, and bounds that cross swap",
    "corrupt_devices_prob": "probability of a device that is stuck",
    "corrupt_devices_range": "largest magnitude that it is stuck at, within its bounds",
    "reference_mean": "what weights count from: the mean of a device's own value there",
    "reference_std": "its spread from device to device, in units of the weight",
}
SUBTRACT = "subtract_symmetry_point"
SUBTRACT_MEANING = "whether weights count from each device's symmetry point (and its reference)"


def drawn(p: Mapping[str, Any], normal: Callable[[], FloatArray]) -> tuple[FloatArray, ...]:
    """Up step, down step (both positive), upper and lower bound of a block of devices.

    p: a device's parameters; normal: as of `Device.fabricate`, called four times.
    """
    up, down = _steps(p, normal)
    return up, down, *_bounds(p, normal)


def _steps(p: Mapping[str, Any], normal: Callable[[], FloatArray]) -> tuple[FloatArray, FloatArray]:
    one, floor, dw_min = f32(1), f32(FLOOR), f32(p["dw_min"])
    mirrored = p["consistency"] == MIRRORED
    spread = f32(p["dw_min_dtod"]) * normal()
    gain = np.exp(spread) if p["dw_min_log_normal"] else one + spread
    if p["asymmetry"] == ONE_SIDED:
        mean, own = p["up_down"], f32(p["up_down_dtod"]) * normal()
        up, down = gain + f32(min(mean, 0.0)) + own, gain - f32(max(mean, 0.0)) - own
        if mirrored:
            return dw_min * np.abs(up), dw_min * np.abs(down)
        return dw_min * np.maximum(up, floor), dw_min * np.maximum(down, floor)
    step = np.abs(gain) if mirrored else np.maximum(gain, floor)
    beta = f32(p["up_down"]) + f32(p["up_down_dtod"]) * normal()
    if mirrored:
        return dw_min * step * np.abs(one + beta), dw_min * step * np.abs(one - beta)
    up = dw_min * step * np.maximum(one + beta, floor)
    down = dw_min * step * np.maximum(one - beta, floor)
    return up, down


def _bounds(
    p: Mapping[str, Any], normal: Callable[[], FloatArray]
) -> tuple[FloatArray, FloatArray]:
    one, floor = f32(1), f32(FLOOR)
    spread_max = one + f32(p["w_max_dtod"]) * normal()
    spread_min = one + f32(p["w_min_dtod"]) * normal()
    if p["consistency"] != MIRRORED:
        spread_max, spread_min = np.maximum(spread_max, floor), np.maximum(spread_min, floor)
    w_max, w_min = f32(p["w_max"]) * spread_max, f32(p["w_min"]) * spread_min
    if p["consistency"] == MIRRORED:
        return np.abs(np.maximum(w_max, w_min)), -np.abs(np.minimum(w_max, w_min))
    return w_max, w_min


def further(
    p: Mapping[str, Any], normal: Callable[[], FloatArray]
) -> tuple[FloatArray, NDArray[np.bool_], FloatArray]:
    """(reference less its mean, which devices are stuck, where in their range) of a block.

    Where a stuck device lies is a share of its range, from 0 to 1. Called after all other draws;
    two normals give two uniform numbers (Box & Muller 1958, backwards), so that those of mean
    devices (normals of 0) are not stuck.
    """
    error = f32(p["reference_std"]) * normal()
    a, b = normal(), normal()
    stuck = np.exp(f32(-0.5) * (a * a + b * b)) < f32(p["corrupt_devices_prob"])
    place = np.arctan2(b, a) / f32(2 * np.pi) + f32(0.5)
    return error, np.asarray(stuck), np.asarray(place)


def with_stuck(
    p: Mapping[str, Any],
    devices: tuple[FloatArray, ...],
    stuck: NDArray[np.bool_],
    place: FloatArray,
) -> tuple[FloatArray, ...]:
    """The devices of `drawn`, of which those that are stuck neither move nor could.

    Both bounds of these are where they are stuck: anywhere in corrupt_devices_range, as far as
    their bounds let them.
    """
    up, down, w_max, w_min = devices
    reach, none = f32(p["corrupt_devices_range"]), f32(0)
    low, high = np.maximum(w_min, -reach), np.minimum(w_max, reach)
    value = (f32(1) - place) * low + place * high
    return (
        np.where(stuck, none, up),
        np.where(stuck, none, down),
        np.where(stuck, value, w_max),
        np.where(stuck, value, w_min),
    )
