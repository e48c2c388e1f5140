"""The errors of algorithms on devices of few or many states, with and without symmetry points at 0.

Read from `measured.toml`, which a test holds to the results of the experiment that it names. Not
for measuring anything.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Percent = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Condition(BaseModel):
    """Devices, and what each algorithm made of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    states: Above0
    """(highest - lowest weight) / the change of a pulse."""
    offset: Percent
    """How far symmetry points lie from zero (rms), as a part of half the range."""
    errors: dict[str, Percent]
    """Cell -> error in percent of the range; a cell that was not trained is not there."""


class Measured(BaseModel):
    """All conditions of one experiment."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    experiment: str
    """What `rpucc reproduce` calls it."""
    what: str
    """What was trained, and what the errors are."""
    condition: tuple[Condition, ...]

    def nearest(self, states: float, offset: float) -> Condition:
        """Return the condition that is most like a device, and no milder where there is one.

        states: the number whose logarithm is nearest; offset: the smallest that is at least as
        large, or the largest of all.

        >>> found = measured().nearest(states=150, offset=0.2)
        >>> found.states, found.offset
        (100.0, 0.5)
        """
        tried = sorted({each.states for each in self.condition})
        at = min(tried, key=lambda each: abs(math.log(each) - _log(states)))
        rows = sorted((c for c in self.condition if c.states == at), key=lambda c: c.offset)
        return next((c for c in rows if c.offset >= offset - 0.005), rows[-1])

    @property
    def cells(self) -> Sequence[str]:
        """The cells that were trained, in the order of the file."""
        return list(dict.fromkeys(name for each in self.condition for name in each.errors))


def _log(states: float) -> float:
    return math.log(states) if 0 < states < math.inf else math.copysign(1e3, states - 1)


@lru_cache
def measured() -> Measured:
    """Return what was measured."""
    text = resources.files("rpucc.advice").joinpath("measured.toml").read_text("utf-8")
    return Measured.model_validate(tomllib.loads(text))
