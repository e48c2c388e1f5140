"""Training algorithms on one tile, as plain data: a 20 × 20 matrix that learns a target.

    d = (W - target) x,  x standard normal, one vector an update; reads and transfer reads are exact

6,000 inputs with a transfer every five are 1,200 transfers. Soft-bounds devices with additive noise
and log-normal gains; the fast array counts from its symmetry points, beside them by `offset`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 20
STATES = 20
RATE = 0.1
EVERY, GRANULARITY, SLOTS = 5, 200, 5
"""Vectors a transfer; auto_granularity; the most slots of a train to the fast array."""

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Algorithm:
    """Tiles trained for some inputs; a tile is a sample.

    Its numbers are the error, mean |A| and the spread of H after each number of inputs in `points`.
    """

    name: str
    algorithm: str
    offset: float = 0.0
    """Standard deviation of the fast array's distance from its symmetry points."""
    lr: float = RATE
    points: tuple[int, ...] = (1000, 3000, 6000)
    tiles: int = 30
    memory: float = 1.0
    """What rpucc's digital memory is multiplied by, where aihwkit keeps it in other units."""
    by_tile: bool = True
    what: str = "algorithm"


ALGORITHM_CASES: tuple[Algorithm, ...] = (
    Algorithm("plain SGD", "sgd", lr=0.01),
    *(
        Algorithm(f"{label}{f', offset {offset}' if offset else ''}", name, offset, points=points)
        for name, label, points in (
            ("tiki-taka", "Tiki-Taka", (1000, 3000, 6000)),
            ("tiki-taka-2", "TTv2", (1000, 3000, 6000)),
            ("chopped-tiki-taka", "c-TTv2", (1000, 3000, 6000)),
            ("agad", "AGAD", (3000, 6000)),
        )
        for offset in (0.0, 0.5)
    ),
    Algorithm("mixed precision", "mixed-precision", lr=0.01, memory=-1.0),
)


def problem(run: int) -> tuple[FloatArray, np.random.Generator]:
    """The target [SIZE, SIZE] of a run, and what its inputs are drawn from."""
    rng = np.random.default_rng(run)
    target = np.clip(0.3 * rng.standard_normal((SIZE, SIZE)), -1, 1).astype(np.float32)
    return target, rng


def fabricated(*, fast: bool, offset: float) -> dict[str, Any]:
    """A device of one of the two arrays, by the parameters that both sides call alike."""
    own = {"subtract_symmetry_point": True, "reference_std": offset} if fast else {}
    spread = 0.3 if fast else 0.0
    return {
        "dw_min": 2 / STATES, "dw_min_dtod": 0.3, "dw_min_std": 0.3, "up_down_dtod": 0.1,
        "w_max": 1.0, "w_min": -1.0, "w_max_dtod": spread, "w_min_dtod": spread,
        "mult_noise": False, **own,
    }  # fmt: skip


def figures(
    W: FloatArray, target: FloatArray, A: FloatArray | None, H: FloatArray | None
) -> list[float]:
    """The numbers of a tile: error, mean |A|, spread of H; 0 for what an algorithm has not."""
    return [
        float(np.std(W - target)),
        0.0 if A is None else float(np.abs(A).mean()),
        0.0 if H is None else float(np.std(H)),
    ]
