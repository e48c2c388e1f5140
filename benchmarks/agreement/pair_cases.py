"""Pairs of devices that are only pulsed up, as plain data: one tile that learns a target.

    d = (W - target) x,  x standard normal, one vector an update; all reads are exact

Phase-change memory as aihwkit's PCMPreset has it, and devices with a constant step. Refreshes are
written in an open loop, which is all that aihwkit has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 20
SLOTS = 31

FloatArray = NDArray[np.float32]
PCM: dict[str, Any] = {
    "dw_min": 0.01, "dw_min_dtod": 0.2, "dw_min_std": 0.6, "dw_min_std_add": 0.042,
    "dw_min_std_slope": 0.108, "up_down": 0.0, "up_down_dtod": 0.05, "w_max": 2.0,
    "w_max_dtod": 0.1, "w_min": 0.0, "w_min_dtod": 0.0, "A_up": -27.235, "A_down": -2.235,
    "gamma_up": 2.5, "gamma_down": 2.5, "a": -1.0, "b": 0.0, "reset": 0.01, "reset_dtod": 0.02,
    "reset_std": 0.01,
}  # fmt: skip
CONSTANT: dict[str, Any] = {
    "dw_min": 0.02, "dw_min_dtod": 0.3, "dw_min_std": 0.3, "up_down": 0.0, "up_down_dtod": 0.01,
    "w_max": 1.5, "w_max_dtod": 0.1, "w_min": -1.5, "w_min_dtod": 0.1, "reset": 0.01,
    "reset_dtod": 0.02, "reset_std": 0.01,
}  # fmt: skip
"""By the names that both sides have."""


@dataclass(frozen=True)
class Pair:
    """Tiles trained for some inputs; a tile is a sample.

    Its numbers are the error, and mean and deviation of each side's devices after each number of
    inputs in `points`.
    """

    name: str
    model: str
    theirs: str
    """The class of aihwkit."""
    parameters: tuple[tuple[str, Any], ...]
    lr: float
    refresh_every: int = 0
    points: tuple[int, ...] = (20, 200, 1000)
    tiles: int = 30
    by_tile: bool = True
    what: str = "pair"


_PCM = ("exp-step", "ExpStepDevice", tuple(PCM.items()))
_CONSTANT = ("constant-step", "ConstantStepDevice", tuple(CONSTANT.items()))
PAIR_CASES: tuple[Pair, ...] = (
    Pair("PCM pairs", *_PCM, lr=0.002),
    Pair("PCM pairs, refreshed after every input", *_PCM, lr=0.002, refresh_every=1),
    Pair("constant-step pairs, refreshed after 10", *_CONSTANT, lr=0.01, refresh_every=10),
)


def pair_problem(run: int) -> tuple[FloatArray, np.random.Generator]:
    """The target [SIZE, SIZE] of a run, and what its inputs are drawn from."""
    rng = np.random.default_rng(run)
    target = np.clip(0.4 * rng.standard_normal((SIZE, SIZE)), -1, 1).astype(np.float32)
    return target, rng


def pair_figures(target: FloatArray, positive: FloatArray, negative: FloatArray) -> list[float]:
    """The numbers of a tile: error; mean and deviation of g+; of g-."""
    error = float(np.std(positive - negative - target))
    return [error, *(float(f(g)) for g in (positive, negative) for f in (np.mean, np.std))]
