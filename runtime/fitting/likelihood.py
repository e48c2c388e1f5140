"""How likely curves are under a model: a Kalman filter over each device's pulses and reads.

A read is the state and a normal error, m = v + r η (and e, an error that lasts some pulses where
reads have one: e' = φ e + sqrt(1 - φ²) σ η, as random telegraph and 1/f noise); a pulse moves the
state, v' = v + s(v)(1 + c ξ), cut to the device's bounds. The filter carries mean and variance of
the state from read to read, through a bound by the moments of a cut normal, and gives every read
the mean and variance that those before it let expect. That tells reads' errors
from steps' noise (an increment has the former twice, which makes neighbours anticorrelated), and
makes no bias of regressing steps on noisy states. Exact for steps linear in the state between
bounds; for others to second order in the noise. Not for which parameters are likely: that is
estimate.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from inspect import getsourcefile
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from rpucc.runtime.fitting.curves import DeviceCurve, Floats
from rpucc.runtime.fitting.models import FitModel
from rpucc.runtime.kernels.generated import generated

WIDTH = 1e-5
"""Derivatives are taken over this part of what a parameter is measured in."""
NOISES = ("cycle", "read", "lasting", "rest")
"""What p ends with: c², the variances of a read and of errors that last, and what part of the
latter a pulse leaves."""
NEAR = 0.05
"""Those of bounds over no more than this part of a read's error: where devices stay at a bound."""


class Edge(NamedTuple):
    """How reads of devices that are at a bound are told from others."""

    variance: float
    """The least that a read there is taken to have, else a single one might seem to be at it
    exactly."""
    weight: float = 0.0
    """What is added to the log likelihood of such a read."""


@dataclass(frozen=True)
class Information:
    """A curve's loss (minus its log likelihood) at some parameters, and how it changes."""

    loss: float
    gradient: Floats
    fisher: Floats
    """Expected second derivatives [parameters, parameters]."""


@dataclass(frozen=True)
class Trace:
    """What the filter makes of a device's reads, each [reads]."""

    innovation: Floats
    """Reads less what was expected."""
    variance: Floats
    """What was expected of their squares; -1 where there is no read, or nothing to expect."""
    before: Floats
    after: Floats
    """The mean state before the read is known, and after it."""
    gain: Floats
    loss: Floats
    at_bound: Floats
    """How likely the device is at a bound then; -1 where that is far."""

    @property
    def counted(self) -> np.ndarray:
        """Which reads the likelihood is of."""
        return self.variance > 0


_MODULES: dict[str, ModuleType] = {}


def _module(model: type[FitModel]) -> ModuleType:
    if model.name in _MODULES:
        return _MODULES[model.name]
    text = files("rpucc.runtime.fitting").joinpath("filter_template.py.txt").read_text("utf-8")
    places = [getsourcefile(each) or "" for each in (model.pulse, model.noisy)]
    source = "".join(Path(place).read_text(encoding="utf-8") for place in places)
    name = f"filter_{model.name.replace('-', '_')}"
    functions: dict[str, Callable[..., Any]] = {"pulse": model.pulse, "noisy": model.noisy}
    _MODULES[model.name] = generated(name, text, functions, source)
    return _MODULES[model.name]


def information(
    model: type[FitModel], curve: DeviceCurve, p: Floats, free: np.ndarray, scales: Floats,
    edge: Edge,
) -> Information:  # fmt: skip
    """Return loss, gradient and expected information of the parameters `free` (indices) of p.

    p: bounds, the model's parameters and NOISES; scales: what each is measured
    in; edge: how reads at a bound are told.
    """
    count, reads = len(free), len(curve.counts)
    widths = WIDTH * scales
    widths[:2] = np.minimum(widths[:2], NEAR * max(math.sqrt(p[-3]), math.sqrt(edge.variance)))
    gradient, fisher = np.empty(count), np.empty((count, count))
    scratch = np.empty((8, reads)), np.empty((count, 8, reads))
    loss = _module(model).information(
        curve.counts, curve.seen, curve.fresh, curve.values, edge, p.astype(float),
        free.astype(int), widths[free], gradient, fisher, *scratch,
    )  # fmt: skip
    return Information(float(loss), gradient, fisher)


def follow(model: type[FitModel], curve: DeviceCurve, p: Floats, edge: Edge) -> Trace:
    """Return what the filter makes of the reads of a device with parameters p."""
    found = np.empty((8, len(curve.counts)))
    _module(model).trace(curve.counts, curve.seen, curve.fresh, curve.values, edge, p, found)
    return Trace(*found[:7])
