"""From single devices to a kind of device: means, spreads over devices, and their standard errors.

What is seen to differ between devices is their spread and the error of each one's own fit: the
spread is what is left when the latter is taken off, devices weighted by both (Paule & Mandel 1982,
doi 10.6028/jres.087.022; DerSimonian & Kacker 2007 recommend it for random effects). Devices whose
errors are alike count alike: large powers and far bounds are less certain than small and near ones,
so weights by each one's own error would make means too small.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy import optimize

from rpucc.runtime.fitting.curves import Curves, Floats
from rpucc.runtime.fitting.estimate import Estimate
from rpucc.runtime.fitting.models import FitModel, Key, Parameter

REACHED = 5
"""Reads at a bound from which on a curve says where it lies."""
ALIKE = 10.0
"""Times the median variance of a fit from which on a device counts less."""
TINY = 1e-6


@dataclass(frozen=True)
class Moments:
    """Mean and spread of a figure over devices, with standard errors."""

    mean: float
    mean_error: float
    spread: float
    spread_error: float


def moments(values: Floats, variances: Floats, *, varies: bool = True) -> Moments:
    """Return what values that have errors of their own, of these variances, say of their kind.

    varies: whether they differ between devices.
    """
    count = len(values)
    if not varies:
        return Moments(float(np.mean(values)), 0.0, 0.0, math.nan)
    if count == 1:
        return Moments(float(values[0]), math.sqrt(float(variances[0])), 0.0, math.nan)

    def excess(square: float) -> float:
        weights = 1 / (variances + square)
        mean = np.sum(weights * values) / np.sum(weights)
        return float(np.sum(weights * (values - mean) ** 2)) - (count - 1)

    floor = TINY * float(np.var(values)) + 1e-300
    variances = _alike(np.maximum(variances, floor))
    most = float(np.var(values)) * count + float(variances.max())
    square = optimize.brentq(excess, 0.0, most) if excess(0.0) > 0 else 0.0
    weights = 1 / (variances + square)
    mean = float(np.sum(weights * values) / np.sum(weights))
    spread = math.sqrt(square)
    # Of a variance sqrt(2 / sum w²); of its root that over twice the root, at its least.
    error = math.sqrt(2 / float(np.sum(weights**2)))
    spread_error = error / (2 * max(spread, math.sqrt(error) / 2))
    return Moments(mean, float(np.sum(weights)) ** -0.5, spread, spread_error)


def _alike(variances: Floats) -> Floats:
    """The variances with those of most devices made one, their mean."""
    most = variances <= ALIKE * np.median(variances)
    return np.where(most, np.mean(variances[most]), variances)


def parameters(
    model: type[FitModel], estimate: Estimate, curves: Curves, at_bound: np.ndarray
) -> list[Parameter]:
    """Return the parameters of the target's device. at_bound: reads there [devices, 2]."""
    own, told = _told(model, estimate, curves, at_bound)
    names = [key.mean for key in model.keys]
    figures = np.array([_figures(model, row, estimate.shared) for row in own])
    slopes = np.stack([_slopes(model, row, estimate) for row in own])  # [devices, keys, own+shared]
    count = len(model.own)
    found: list[Parameter] = []
    means: dict[str, float] = {}
    for k, key in enumerate(model.keys):
        by_own, by_shared = slopes[:, k, :count], slopes[:, k, count:]
        usable = np.all(told | (np.abs(by_own) <= TINY * np.abs(by_own).max()), axis=1)
        covariance = estimate.own_covariance.copy()
        note = ""
        if not usable.any():
            usable[:] = True
            covariance[:, :2] = covariance[:, :, :2] = 0
            note = "no device reaches it: the farthest that was read"
        variances = np.einsum("di,dij,dj->d", by_own, covariance, by_own)[usable]
        common = (by_shared + np.einsum("di,dij->dj", by_own, estimate.border))[usable].mean(axis=0)
        shared = float(common @ estimate.shared_covariance @ common)
        values = moments(figures[usable, k], variances, varies=key.spread is not None)
        means[names[k]] = values.mean
        found += _pair(key, values, shared, note, int(usable.sum()), len(own))
    errors = np.sqrt(np.maximum(np.diag(estimate.shared_covariance), 0))
    shared_keys = zip(model.shared, estimate.shared, errors, strict=False)
    found += [Parameter(key, float(value), float(error)) for key, value, error in shared_keys]
    cycle = math.sqrt(estimate.shared[-4])
    error = float(errors[-4]) / (2 * cycle) if model.noise_in_steps else math.nan
    found.append(Parameter("dw_min_std", cycle, error))
    return model.keyed(found)


def _told(
    model: type[FitModel], estimate: Estimate, curves: Curves, at_bound: np.ndarray
) -> tuple[Floats, np.ndarray]:
    """Own parameters and which of them the curves tell; other bounds are the ends of the reads."""
    own, told = estimate.own.copy(), estimate.informed.copy()
    if model.bounds_in_steps:
        told[:, :2] = True  # where they hardly do, errors say it
        return own, told
    told[:, :2] &= at_bound >= REACHED
    for i, curve in enumerate(curves.devices):
        for bound, end in ((0, curve.smooth.max()), (1, curve.smooth.min())):
            if not told[i, bound]:
                own[i, bound] = end
    return own, told


def _figures(model: type[FitModel], own: Floats, shared: Floats) -> Floats:
    found = model.figures(own, shared)
    return np.array([found[key.mean] for key in model.keys])


def _slopes(model: type[FitModel], own: Floats, estimate: Estimate) -> Floats:
    """Derivatives of a device's figures by own and shared parameters [keys, own + shared]."""
    both, count = np.concatenate([own, estimate.shared]), len(own)
    columns = []
    for j in range(len(both)):
        width = 1e-6 * max(abs(both[j]), 1e-6)
        ends = []
        for side in (1, -1):
            moved = both.copy()
            moved[j] += side * width
            ends.append(_figures(model, moved[:count], moved[count:]))
        columns.append((ends[0] - ends[1]) / (2 * width))
    return np.stack(columns, axis=1)


def _pair(
    key: Key, values: Moments, shared: float, note: str, used: int, devices: int
) -> Iterator[Parameter]:
    error = math.sqrt(values.mean_error**2 + shared)
    if not note and used < devices:
        note = f"{used} of {devices} devices tell it"
    yield Parameter(key.mean, values.mean, error, note)
    if key.spread is None:
        return
    size = abs(values.mean) if key.relative else 1.0
    size = size or 1.0
    note = "one device: taken as none" if used == 1 else ""
    yield Parameter(key.spread, values.spread / size, values.spread_error / size, note)
