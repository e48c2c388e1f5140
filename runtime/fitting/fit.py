"""Models fitted to curves, best first: parameters, how they rank, and which describe the data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.fitting.catalogue import FIT_MODELS, ON_REQUEST
from rpucc.runtime.fitting.curves import Curves, DeviceCurve
from rpucc.runtime.fitting.estimate import ROUNDS, Estimate, estimate
from rpucc.runtime.fitting.likelihood import Trace, follow
from rpucc.runtime.fitting.models import FitModel, Parameter, Sketch
from rpucc.runtime.fitting.population import parameters
from rpucc.runtime.fitting.residuals import Test, test_state
from rpucc.runtime.fitting.sketch import Noise, noise, sketch

LASTS = 10.0
"""How much better the criterion has to be with errors of reads that last for these to be there."""
LEAST_READ = 0.1
"""Steps below which the error of a read is too small to ask whether it lasts."""
FEW, TRIED = 5, 10
"""Devices and rounds of a fit that asks it."""
LEAST_MOVES = 20
READS_A_NUMBER = 5
"""Reads that tell where known pulses led, for each number of a model that has tables."""
REREADS = 10
"""Reads of devices with no pulse in between from which on reads tell their noise."""


@dataclass(frozen=True)
class Fit:
    """A model fitted to curves."""

    model: type[FitModel]
    estimate: Estimate
    traces: list[Trace]
    parameters: list[Parameter]
    """Of the target's [device]."""
    bic: float
    """Bayesian information criterion (Schwarz 1978): 2 loss + parameters · ln(reads)."""
    test: Test

    @property
    def name(self) -> str:
        """The model's."""
        return self.model.name

    @property
    def read_noise(self) -> float:
        """Standard deviation of what a read adds that the next one does not have."""
        return math.sqrt(float(self.estimate.shared[-3]))

    @property
    def lasting(self) -> tuple[float, float]:
        """Standard deviation of errors of reads that last, and pulses until 1/e of one is left."""
        variance, rest = map(float, self.estimate.shared[-2:])
        return math.sqrt(variance), -1 / math.log(rest) if 0 < rest < 1 else 0.0

    @property
    def device(self) -> dict[str, Any]:
        """The section of a target."""
        return {"model": self.name, **{each.key: each.value for each in self.parameters}}

    def with_write_noise(self, reread: float) -> Fit:
        """The same with what is gone with the next pulse, not with the next read, as write noise.

        reread: standard deviation of a read by itself.
        """
        write = math.sqrt(max(self.read_noise**2 - reread**2, 0.0))
        noise = Parameter("write_noise_std", write / self.device["dw_min"], math.nan)
        return replace(self, parameters=[*self.parameters, noise])


@dataclass(frozen=True)
class Fits:
    """The models fitted to the same curves, the best first."""

    curves: Curves
    fits: tuple[Fit, ...]
    reread: float | None
    """Standard deviation of a read by itself: given, or told by reads with no pulse in between."""
    refused: tuple[str, ...] = ()
    """Which models were not fitted, and why, a line each."""

    @property
    def best(self) -> Fit:
        """The one of the least information criterion."""
        return self.fits[0]

    def delta(self, fit: Fit) -> float:
        """How much more its criterion is than the best one's."""
        return fit.bic - self.best.bic

    @property
    def notes(self) -> Iterator[str]:
        """What whoever trains with it should know."""
        curves = self.curves
        if len(curves.devices) == 1:
            yield "one device: how devices differ is not known, all spreads over devices are 0"
        if curves.left_out:
            yield (
                f"{curves.left_out} gaps at which the direction of the missing pulses is not "
                "known: each starts a curve anew"
            )
        yield from self.refused
        if not any(fit.test.passed for fit in self.fits):
            named = {fit.model for fit in self.fits}
            if missing := [model.name for model in ON_REQUEST if model not in named]:
                yield f"no formula describes the data; a table may: --model {missing[0]}"
        unsettled = [fit.name for fit in self.fits if not fit.estimate.settled]
        if unsettled:
            yield f"not settled, take with care: {', '.join(unsettled)}"


def fit_curves(curves: Curves, names: Sequence[str] = (), read_error: float | None = None) -> Fits:
    """Fit models to curves: those named, else all of FIT_MODELS but ON_REQUEST.

    Raises ArgumentError for another name, DataError for pulses that lead the wrong way and for
    fewer reads than the models have numbers for.

    read_error: the standard deviation of a read by itself, in weights. What else is gone with the
    next pulse is then noise of writing; unless it is given or reads are repeated, no noise is.
    """
    unknown = [name for name in names if name not in FIT_MODELS]
    if unknown:
        raise ArgumentError(f"no model {unknown[0]!r} can be fitted: {', '.join(FIT_MODELS)}")
    again, reread = curves.rereads, read_error
    if reread is None and len(again) >= REREADS:
        reread = math.sqrt(float(np.mean(again)))
    merged = Curves(tuple(_merged(each) for each in curves.devices))
    sketches = [sketch(each) for each in merged.devices]
    _check(curves, sketches)
    named = [FIT_MODELS[name] for name in dict.fromkeys(names)]
    models = named or [each for each in FIT_MODELS.values() if each not in ON_REQUEST]
    refused = {model: line for model in models if (line := _refusal(model, merged))}
    if len(refused) == len(models):
        raise DataError(*refused.values())
    models = [each for each in models if each not in refused]
    begun = noise(merged, sketches)
    fits = _all(models, merged, sketches, begun)
    longer = _lasting(fits[0], merged, sketches)
    if longer is not None:
        fits = _all(models, merged, sketches, longer)
    if reread is not None:
        fits = [each.with_write_noise(reread) for each in fits]
    return Fits(curves, tuple(fits), reread, tuple(refused.values()))


def _refusal(model: type[FitModel], curves: Curves) -> str | None:
    """Say why there are too few reads for a model; None where there are not."""
    if not model.shared:
        return None
    numbers = len(curves.devices) * len(model.own) + len(model.shared) + 2
    if curves.moves >= READS_A_NUMBER * numbers:
        return None
    return (
        f"{model.name} is not fitted: its {numbers} numbers need {READS_A_NUMBER * numbers} reads "
        f"that tell where known pulses led, there are {curves.moves}"
    )


def _lasting(fit: Fit, curves: Curves, sketches: list[Sketch]) -> Noise | None:
    """Return a guess of the noise with errors of reads that last, where a few devices have them."""
    read = float(fit.estimate.shared[-3])
    if math.sqrt(read) < LEAST_READ * fit.device["dw_min"]:
        return None
    few = Curves(curves.devices[:FEW])
    longer = Noise(1.0, read, 2 * read, 0.9)
    guesses = (noise(few, sketches[:FEW]), longer)
    short, long = (_all([fit.model], few, sketches[:FEW], g, TRIED)[0] for g in guesses)
    return longer if long.bic < short.bic - LASTS else None


def _all(
    models: Sequence[type[FitModel]], curves: Curves, sketches: list[Sketch], begun: Noise,
    rounds: int = ROUNDS,
) -> list[Fit]:  # fmt: skip
    fits = [
        _fit(model, curves, estimate(model, curves, sketches, begun, rounds)) for model in models
    ]
    return sorted(fits, key=lambda each: each.bic)


def _check(curves: Curves, sketches: list[Sketch]) -> None:
    """Raise DataError for too few reads, and where pulses move most devices the wrong way."""
    for curve in curves.devices:
        if curve.moves < LEAST_MOVES:
            raise DataError(
                f"device {curve.name!a}: {curve.moves} reads tell where known pulses led; "
                f"{LEAST_MOVES} or more are needed, leave the device out"
            )
    up = np.median([s.up + s.up_slope * (s.upper + s.lower) / 2 for s in sketches])
    down = np.median([s.down + s.down_slope * (s.upper + s.lower) / 2 for s in sketches])
    if up < 0 and down < 0:
        raise DataError(
            "pulses up lower the value and pulses down raise it: swap the directions, or read "
            "conductances where these are resistances"
        )


def _merged(curve: DeviceCurve) -> DeviceCurve:
    """The curve with reads of the same state made one, their mean."""
    seen = curve.seen | curve.fresh
    new = np.cumsum(curve.fresh | (curve.counts != 0) | ~seen) - 1
    if len(new) and new[-1] + 1 == len(new):
        return curve
    total = np.bincount(new, curve.values * curve.seen)
    count = np.bincount(new, curve.seen.astype(float))
    first = np.unique(new, return_index=True)[1]
    values = total / np.maximum(count, 1)
    return DeviceCurve(curve.name, curve.counts[first], count > 0, curve.fresh[first], values)


def _fit(model: type[FitModel], curves: Curves, found: Estimate) -> Fit:
    traces = [
        follow(model, curve, found.parameters(i), found.edge)
        for i, curve in enumerate(curves.devices)
    ]
    reads = sum(int(trace.counted.sum()) for trace in traces)
    at_bound = np.array([_at_bounds(trace) for trace in traces])
    test = test_state(curves, traces, len(model.own))
    bic = 2 * found.loss + found.free * math.log(max(reads, 2))
    return Fit(model, found, traces, parameters(model, found, curves, at_bound), bic, test)


def _at_bounds(trace: Trace) -> tuple[int, int]:
    """Reads at the upper and at the lower bound."""
    there = trace.at_bound > 0.5
    middle = (trace.after.max() + trace.after.min()) / 2
    return int(np.sum(there & (trace.after > middle))), int(np.sum(there & (trace.after < middle)))
