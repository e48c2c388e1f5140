"""Whether two sets of moments can be of one distribution: standard errors from the sample sizes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

FALSE_ALARM = 1e-6
"""Chance that any comparison of a whole run is beyond the bound where all distributions agree."""

ROUNDING = 1e-5
"""Means that do not vary may differ by this fraction of the largest one: float32 sums."""

Moments = dict[str, Any]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One case on both sides; deviations are in standard errors of the difference."""

    name: str
    what: str
    samples: int
    means: float
    """The largest deviation of a mean."""
    variances: float
    """The largest deviation of a variance."""
    compared: int
    """Numbers that were compared: means and variances."""
    difference: float
    """The largest difference of means, in standard deviations of a sample."""
    ratio: float
    """The median of the ratios of standard deviations, ours to theirs."""
    ours: Moments
    theirs: Moments


def compare(
    name: str, what: str, ours: Moments, theirs: Moments, *, spreads: bool = True
) -> Comparison:
    """Compare every mean of a case, and every variance unless `spreads` is false."""
    m1, m2 = (np.array(side["mean"]) for side in (ours, theirs))
    v1, v2 = (np.array(side["variance"]) for side in (ours, theirs))
    scale = max(np.abs(m1).max(), np.abs(m2).max())
    fixed = (v1 == 0) & (v2 == 0)
    off = np.where(fixed & (np.abs(m1 - m2) <= ROUNDING * scale), 0, np.abs(m1 - m2))
    varied = ~fixed
    return Comparison(
        name=name,
        what=what,
        samples=min(ours["n"], theirs["n"]),
        means=_largest(off, np.sqrt(v1 / ours["n"] + v2 / theirs["n"])),
        variances=_largest(np.abs(v1 - v2), np.hypot(_error(ours), _error(theirs)))
        if spreads
        else 0.0,
        compared=(1 + spreads) * len(m1),
        difference=_largest(off[varied], np.sqrt((v1 + v2) / 2)[varied]),
        ratio=float(np.median(np.sqrt(v1[v2 > 0] / v2[v2 > 0]))) if np.any(v2 > 0) else 1.0,
        ours=ours,
        theirs=theirs,
    )


def _error(side: Moments) -> Array:
    """The standard errors of variances: sqrt((fourth moment - variance²) / n)."""
    spread = np.array(side["fourth"]) - np.array(side["variance"]) ** 2
    return np.asarray(np.sqrt(np.maximum(spread, 0) / side["n"]))


def _largest(off: Array, error: Array) -> float:
    """The largest deviation in standard errors; infinite where what cannot vary differs."""
    with np.errstate(divide="ignore", invalid="ignore"):
        found = np.where(off == 0, 0.0, off / error)
    return float(found.max(initial=0.0))


def bound(comparisons: Sequence[Comparison]) -> float:
    """Standard errors within which all numbers of a run stay, but for a chance of FALSE_ALARM."""
    count = sum(each.compared for each in comparisons)
    return NormalDist().inv_cdf(1 - FALSE_ALARM / (2 * count))
