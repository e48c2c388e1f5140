"""What is sampled on both sides, as plain data.

A case is a dictionary that both sides understand and that goes to them as JSON; `vectors` makes
the weights and inputs of a case, the same on both sides. Only NumPy, for both interpreters.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.agreement.algorithm_cases import Algorithm
from benchmarks.agreement.pair_cases import Pair

ROWS, COLUMNS = 12, 30
TILES, TILE = 32, (40, 40)
"""51,200 devices a response."""
READS, UPDATES = 40_000, 20_000

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Read:
    """Many reads of one input: mean and variance of every output."""

    name: str
    transpose: bool = False
    read_noise: float = 0.0
    bound: float = 0.0
    dac_bits: int = 0
    adc_bits: int = 0
    dac_stochastic: bool = False
    noise_managed: bool = False
    bound_mode: str = ""
    """"" without bound management."""
    peak: float = 0.0
    """The largest output of the exact product, in bounds; 0 leaves the weights in ±0.6."""
    positive: bool = False
    """Inputs of one sign."""
    scale: float = 1.0
    """The largest input."""
    what: str = "read"


@dataclass(frozen=True)
class Update:
    """Many updates by one pair (x, d) from weights of 0: mean and variance of every change."""

    name: str
    bl: int
    update_management: bool = False
    update_bl_management: bool = False
    scale: float = 1.0
    """The largest error; the largest input is 1."""
    what: str = "update"


@dataclass(frozen=True)
class Response:
    """Devices pulsed up and then down again: mean and deviation over devices along the way.

    A sample is a tile: aihwkit's differ from one another more than their devices say, as every one
    draws the noise of its pulses from a table of 32,768 normals of its own.
    """

    name: str
    model: str
    parameters: tuple[tuple[str, Any], ...] = ()
    pulses: int = 1000
    theirs: str = ""
    """The class of aihwkit: a device or a preset."""
    their_parameters: tuple[tuple[str, Any], ...] = ()
    by_tile: bool = True
    what: str = "response"

    @property
    def points(self) -> list[int]:
        """The numbers of pulses after which the weights are looked at."""
        n = self.pulses
        parts = (n // 100, n // 10, n // 4, n // 2, n, n + n // 100, n + n // 10, n + n // 2, 2 * n)
        return sorted({max(part, 1) for part in parts})


Case = Read | Update | Response | Algorithm | Pair

NOISE = {"read_noise": 0.06}
ASYMMETRIC = (("dw_min_dtod", 0.0), ("up_down_dtod", 0.1))
_CONSTANT = {"theirs": "ConstantStepDevice"}
CASES: tuple[Case, ...] = (
    Read("noise", **NOISE),
    Read("noise, backward", transpose=True, **NOISE),
    Read("noise, NM", noise_managed=True, scale=0.01, **NOISE),
    Read("noise, NM, backward", noise_managed=True, scale=0.01, transpose=True, **NOISE),
    Read("7-bit DAC, 9-bit ADC", bound=12, dac_bits=7, adc_bits=9, **NOISE),
    Read("4-bit DAC, 5-bit ADC", bound=4, dac_bits=4, adc_bits=5, **NOISE),
    Read("4-bit DAC with stochastic rounding", dac_bits=4, dac_stochastic=True),
    Read("the same, NM, backward", dac_bits=4, dac_stochastic=True, noise_managed=True,
         scale=0.01, transpose=True),
    Read("beyond the bound", bound=2, peak=1.3, **NOISE),
    Read("BM, outputs of 1.5 bounds", bound=2, peak=1.5, bound_mode="iterative", **NOISE),
    Read("BM, an output at the bound", bound=2, peak=1.0, bound_mode="iterative", **NOISE),
    Read("BM, outputs of 6 bounds", bound=2, peak=6.0, bound_mode="iterative", **NOISE),
    Read("NM, BM in two passes", bound=2, peak=1.5, bound_mode="worst-case", positive=True,
         noise_managed=True, **NOISE),
    Read("NM, BM, 7-bit DAC, 9-bit ADC", bound=2, peak=3.0, bound_mode="iterative",
         noise_managed=True, dac_bits=7, adc_bits=9, scale=0.25, **NOISE),
    *(
        Update(f"BL {bl}{', UM' if um else ''}{', errors to 0.02' if scale < 1 else ''}", bl, um,
               scale=scale)
        for bl in (1, 10, 31)
        for um in (False, True)
        for scale in ((0.02,) if bl == 1 else (1.0, 0.02))
    ),
    Update("BL at most 31, UM and UBLM", 31, True, True),
    Update("the same, errors to 0.02", 31, True, True, scale=0.02),
    Response("constant-step", "constant-step", **_CONSTANT),
    Response("constant-step, asymmetric", "constant-step", ASYMMETRIC, **_CONSTANT,
             their_parameters=ASYMMETRIC),
    Response("soft-bounds", "soft-bounds", theirs="SoftBoundsDevice"),
    Response("soft-bounds, asymmetric", "soft-bounds", ASYMMETRIC, theirs="SoftBoundsDevice",
             their_parameters=ASYMMETRIC),
)  # fmt: skip


def request(case: Case) -> dict[str, Any]:
    """The case as JSON can carry it."""
    points = {"points": case.points} if isinstance(case, Response) else {}
    return {**asdict(case), **points}


def vectors(case: dict[str, Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Weights [ROWS, COLUMNS], x [COLUMNS] and d [ROWS] of a case.

    The largest input is the scale of the case.
    """
    rng = np.random.default_rng(7)
    W = rng.uniform(-0.6, 0.6, (ROWS, COLUMNS)).astype(np.float32)
    x, d = (rng.uniform(-0.95, 0.95, n).astype(np.float32) for n in (COLUMNS, ROWS))
    if case.get("positive"):
        x, d = np.abs(x), np.abs(d)
    x[3] = d[3] = 1
    if case["what"] == "read":
        x, d = x * np.float32(case["scale"]), d * np.float32(case["scale"])
    if case.get("peak"):
        s = np.float32(case["scale"] if case["noise_managed"] else 1)
        y = (d @ W if case["transpose"] else W @ x) / s
        W *= np.float32(case["peak"] * case["bound"]) / np.abs(y).max()
    if case["what"] == "update":
        d = d * np.float32(case["scale"])
    return W, x, d


def moments(samples: FloatArray) -> dict[str, Any]:
    """Of samples [n, k]: n, and mean, variance and fourth central moment of each of the k."""
    values = samples.astype(np.float64)
    centred = values - values.mean(axis=0)
    return {
        "n": len(values),
        "mean": values.mean(axis=0).tolist(),
        "variance": (centred**2).mean(axis=0).tolist(),
        "fourth": (centred**4).mean(axis=0).tolist(),
    }


def with_sums(changes: FloatArray) -> FloatArray:
    """Changes [n, R, C] with the sums of rows and columns beside them: [n, R * C + R + C].

    Pulses of one line are shared by its crosspoints; only sums show that in their variance.
    """
    n = len(changes)
    return np.concatenate(
        [changes.reshape(n, -1), changes.sum(axis=2), changes.sum(axis=1)], axis=1
    )


def of_tiles(tiles: Iterable[FloatArray]) -> FloatArray:
    """Of each tile's weights [devices, points] the means and deviations: [tiles, 2 * points]."""
    rows = [np.concatenate([tile.mean(axis=0), tile.std(axis=0)]) for tile in tiles]
    return np.array(rows, np.float32)
