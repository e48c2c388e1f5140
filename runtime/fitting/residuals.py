"""Does a model describe the data? Its errors against the state: zero on average at every weight.

What a read is off from what the reads before it let expect, in standard deviations, has mean 0
where the model's step is right. Reads are sorted into bins of equally many by the expected state,
for each direction: the sum of n mean² over them is chi² distributed, with as many degrees of
freedom less as a device has parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from rpucc.runtime.fitting.curves import Curves, DeviceCurve, Floats
from rpucc.runtime.fitting.likelihood import Trace

BINS = 8
"""A direction."""
LEAST = 20
"""Reads in a bin."""
LEVEL = 0.001
"""A model that describes the data gets a smaller p once in so many data sets."""


@dataclass(frozen=True)
class Bin:
    """Steps of one direction from some range of weights, over all devices."""

    direction: int
    low: float
    high: float
    reads: int
    measured: float
    """Mean step a pulse along its direction, as the filter follows the reads."""
    error: float
    """Its standard error."""
    expected: float
    """The same of the model."""
    score: float
    """How many standard errors the reads are off."""

    @property
    def middle(self) -> float:
        """The weight in the middle of the range."""
        return (self.low + self.high) / 2


@dataclass(frozen=True)
class Test:
    """Whether what is left of the reads depends on the state."""

    chi2: float
    freedom: int
    p: float
    bins: tuple[Bin, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing speaks against the model."""
        return self.p >= LEVEL

    @property
    def worst(self) -> Bin:
        """The bin that speaks most against it."""
        return max(self.bins, key=lambda each: abs(each.score))


def test_state(curves: Curves, traces: list[Trace], fitted: int) -> Test:
    """Test the errors of a model against the state. fitted: parameters of a device."""
    found: list[Bin] = []
    for direction in (1, -1):
        parts = [_reads(c, t, direction) for c, t in zip(curves.devices, traces, strict=True)]
        found += _bins(np.concatenate(parts, axis=1), direction)
    chi2 = float(sum(each.score**2 for each in found))
    freedom = max(len(found) - fitted, 1)
    return Test(chi2, freedom, float(stats.chi2.sf(chi2, freedom)), tuple(found))


def _reads(curve: DeviceCurve, trace: Trace, direction: int) -> Floats:
    """State, score, measured and expected step a pulse of the reads after such pulses [4, n]."""
    at = np.flatnonzero((trace.variance > 0) & (curve.counts * direction > 0))
    at = at[trace.at_bound[at - 1] < 0.5]  # from a bound pulses may lead nowhere
    pulses = curve.counts[at]
    start = trace.after[at - 1]
    score = trace.innovation[at] / np.sqrt(trace.variance[at])
    measured, expected = (trace.after[at] - start) / pulses, (trace.before[at] - start) / pulses
    return np.stack([start, direction * score, measured, expected])


def _bins(reads: Floats, direction: int) -> list[Bin]:
    order = np.argsort(reads[0], kind="stable")
    count = min(BINS, len(order) // LEAST) or min(1, len(order))
    found = []
    for part in np.array_split(order, count) if count else ():
        state, score, measured, expected = reads[:, part]
        size = len(part)
        error = float(np.std(measured)) / size**0.5
        found.append(
            Bin(
                direction, float(state.min()), float(state.max()), size,
                float(measured.mean()), error, float(expected.mean()),
                float(score.mean()) * size**0.5,
            )
        )  # fmt: skip
    return found
