"""What is fitted: each model's mean step as a function of the weight, and what it makes of devices.

A model is a class and a row of FIT_MODELS (catalogue.py). Its parameters are its device's two
bounds, what else a device has of its own, and what all devices share. Not for the devices that are
trained on: those are in rpucc.runtime.devices, and tests hold both to the same steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from rpucc.runtime.fitting.curves import Floats

PRIOR = 10.0
"""Own parameters are held near their start by a normal of so many times their scale, so that what
a curve says nothing about (a bound that it does not reach) stays a number."""


@dataclass(frozen=True)
class Sketch:
    """What a device looks like at first sight: its range, and straight lines through its steps."""

    upper: float
    lower: float
    up: float
    up_slope: float
    down: float
    down_slope: float
    """Mean steps at weight 0 (both positive where a device follows its pulses) and their slopes."""

    @property
    def step(self) -> float:
        """The size of a step at weight 0."""
        return max((abs(self.up) + abs(self.down)) / 2, 1e-12)

    @property
    def width(self) -> float:
        """Its range."""
        return self.upper - self.lower


@dataclass(frozen=True)
class Key:
    """A key of a target's [device], and how it follows from the devices that were fitted."""

    mean: str
    """The key that is the mean of a figure over devices."""
    spread: str | None = None
    """The key that is its standard deviation over devices."""
    relative: bool = True
    """Whether the spread is in units of the mean."""


@dataclass(frozen=True)
class Parameter:
    """A number of a target's [device], or a table, with how well the curves say it."""

    key: str
    value: Any
    error: float
    """Its standard error; nan where the curves do not say it."""
    note: str = ""
    errors: tuple[float, ...] = ()
    """Standard errors of the numbers of a table; infinite where the curves do not say them."""


class FitModel:
    """A model that can be fitted.

    Subclasses set `name` (of the device), `own` (parameters of a single device; the first two are
    its bounds), `shared` (those that all have alike), `keys`, and define `pulse`, `starts` and
    `figures`.
    """

    name: ClassVar[str]
    own: ClassVar[tuple[str, ...]]
    shared: ClassVar[tuple[str, ...]] = ()
    keys: ClassVar[tuple[Key, ...]]
    bounds_prior: ClassVar[float] = PRIOR
    """How far from the ends of the reads bounds may lie that no read tells, in ranges: little where
    steps count in ranges but do not tell them."""

    noise_in_steps: ClassVar[bool] = True
    """Whether noise from pulse to pulse is c times what `noisy` says; else c is 1."""

    bounds_in_steps: ClassVar[bool] = False
    """Whether steps depend on the bounds: then curves tell them that do not reach them."""

    @staticmethod
    def pulse(w: float, direction: float, p: Any) -> Any:
        """The mean weight change of a pulse (up where direction > 0) at w, bounds left aside.

        p: own, then shared parameters, then two of the noise. Compiled: arithmetic, comparisons,
        min, max, `math`.
        """
        raise NotImplementedError

    @staticmethod
    def noisy(w: float, direction: float, step: float, p: Any) -> Any:
        """What noise c multiplies: the mean step itself, unless it is no part of it. Compiled."""
        return step

    @classmethod
    def starts(cls, sketches: list[Sketch]) -> list[tuple[Floats, Floats]]:
        """Return guesses: own parameters [devices, own] and shared ones [shared] each."""
        raise NotImplementedError

    @classmethod
    def limits(cls, shared: Floats) -> tuple[Floats, Floats]:
        """Return the least and largest values of shared parameters that begin so."""
        return np.full(len(shared), -np.inf), np.full(len(shared), np.inf)

    @classmethod
    def scales(cls, sketch: Sketch) -> tuple[Floats, Floats]:
        """Return in what own and shared parameters are measured: about how much is much."""
        width, step = sketch.width, sketch.step
        sizes = {"slope": step / width, "w_": width, "dw": step, "gamma": 1.0}
        own = [next(v for k, v in sizes.items() if key.startswith(k)) for key in cls.own]
        return np.array(own), np.ones(len(cls.shared))

    @classmethod
    def figures(cls, own: Floats, shared: Floats) -> dict[str, float]:
        """Return the figures of a device that `keys` name, by the names of their means."""
        raise NotImplementedError

    @classmethod
    def keyed(cls, found: list[Parameter]) -> list[Parameter]:
        """Return the keys of the device, of figures and shared parameters by their own names."""
        return found
