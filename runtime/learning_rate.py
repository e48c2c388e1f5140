"""Learning-rate schedules: the rate of each epoch, from the first rate and a line of text.

A schedule knows how many epochs are complete and, of a plateau, what was watched in each of them,
which a checkpoint keeps: a resumed training goes on with the rate that it would have had, however
many epochs are added to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from rpucc import arguments
from rpucc.errors import ArgumentError
from rpucc.runtime.watch import waits

CONSTANT = "constant"

ALLOWED = (
    "constant; step:EPOCHS:FACTOR (times FACTOR every EPOCHS epochs); exponential:FACTOR (times "
    "FACTOR every epoch); linear:EPOCHS:FLOOR, cosine:EPOCHS:FLOOR or polynomial:EPOCHS:FLOOR:POWER"
    " (down to FLOOR times the first rate in epoch EPOCHS, which is 2 or more, in a line, half a "
    "cosine or a power above 0 of what is left); plateau:EPOCHS:FACTOR or "
    "plateau:EPOCHS:FACTOR:FLOOR (times FACTOR after EPOCHS epochs without a new best, not below "
    "FLOOR times the first rate); EPOCH=RATE,EPOCH=RATE,… (new rates from these epochs on, which "
    "rise and count from 1); each of them after warmup:EPOCHS+ (rising in a line before it); "
    "FACTOR and FLOOR are in (0, 1]"
)

_NUMBER = r"\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"
_COUNT = r"(\d{1,9})"

Rate = Callable[[float, int], float]
"""(first rate, epochs that are complete) -> the rate of the next epoch."""


@dataclass(frozen=True)
class Plateau:
    """The rate falls where what is watched has stopped falling."""

    epochs: int
    factor: float
    floor: float

    def __call__(self, lr: float, watched: Sequence[float], min_delta: float) -> float:
        """Return the rate after epochs in which these values were watched."""
        falls = sum(1 for waited in waits(watched, min_delta, self.epochs) if waited == self.epochs)
        return lr * max(self.factor**falls, self.floor)


@dataclass(frozen=True)
class Listed:
    """New rates from some epochs on."""

    rates: tuple[tuple[int, float], ...]
    """(epoch, which counts from 1, rate), in the order of the epochs."""

    def __call__(self, lr: float, epoch: int) -> float:
        """Return the rate after so many complete epochs."""
        return next((rate for first, rate in reversed(self.rates) if epoch + 1 >= first), lr)


@dataclass(frozen=True)
class Schedule:
    """The rate of every epoch."""

    rate: Rate | Plateau
    warmup: int = 0
    """Epochs before it, in which the rate rises in a line: of 3 they have 1/4, 2/4 and 3/4."""

    @property
    def watches(self) -> bool:
        """Whether the rates follow from what an epoch came to."""
        return isinstance(self.rate, Plateau)

    def __call__(
        self, lr: float, epoch: int, watched: Sequence[float] = (), min_delta: float = 0.0
    ) -> float:
        """Return the rate of the epoch after `epoch` complete ones.

        lr: the first rate; watched: of a plateau, the value of each complete epoch, and by how much
        the next best has to be below.
        """
        if epoch < self.warmup:
            return lr * ((epoch + 1) / (self.warmup + 1))
        if isinstance(self.rate, Plateau):
            return self.rate(lr, watched[self.warmup : epoch], min_delta)
        return self.rate(lr, epoch - self.warmup)

    def extremes(self, first: int, epochs: int) -> list[int]:
        """Return the epochs, counted from 0, among which the rates of `first` and later are.

        Those with the largest and the smallest rate are among them, of a plateau those whose rates
        do not follow from what an epoch came to.
        """
        turns = {first, self.warmup - 1, self.warmup, epochs - 1}
        if isinstance(self.rate, Listed):
            turns |= {self.warmup + epoch - 1 for epoch, _ in self.rate.rates}
        last = min(epochs, self.warmup + 1) if self.watches else epochs
        return sorted(epoch for epoch in turns if first <= epoch < last)


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that a line of text describes.

    Raises ArgumentError, one line that says what is allowed.

    >>> step = parse_schedule("step:10:0.5")
    >>> [step(0.01, epoch) for epoch in (0, 9, 10, 20)]
    [0.01, 0.01, 0.005, 0.0025]
    >>> listed = parse_schedule("2=0.005,4=0.001")
    >>> [listed(0.01, epoch) for epoch in range(5)]
    [0.01, 0.005, 0.005, 0.001, 0.001]
    >>> warm = parse_schedule("warmup:3+exponential:0.5")
    >>> [warm(1.0, epoch) for epoch in range(6)]
    [0.25, 0.5, 0.75, 1.0, 0.5, 0.25]
    >>> plateau = parse_schedule("plateau:2:0.5")
    >>> losses = [0.9, 0.5, 0.6, 0.5, 0.4]
    >>> [plateau(1.0, epoch, losses[:epoch]) for epoch in range(6)]
    [1.0, 1.0, 1.0, 1.0, 0.5, 0.5]
    """
    arguments.instance("lr_schedule", text, str, ALLOWED)
    warm = re.fullmatch(rf"warmup:{_COUNT}(?:\+(.+))?", text)
    warmup, main = (int(warm[1]), warm[2] or CONSTANT) if warm else (0, text)
    if not warm or warmup:
        for pattern, make in _FORMS:
            found = re.fullmatch(pattern, main)
            rate = make(*found.groups()) if found else None
            if rate is not None:
                return Schedule(rate, warmup)
    raise ArgumentError(f"learning-rate schedule {text!r}: allowed: {ALLOWED}")


def _constant() -> Rate:
    return lambda lr, epoch: lr


def _step(epochs: str, factor: str) -> Rate | None:
    every, times = int(epochs), float(factor)
    if every < 1 or not 0 < times <= 1:
        return None
    return lambda lr, epoch: lr * times ** (epoch // every)


def _exponential(factor: str) -> Rate | None:
    return _step("1", factor)


def _cosine(epochs: str, floor: str) -> Rate | None:
    last, least = int(epochs) - 1, float(floor)
    if last < 1 or not 0 < least <= 1:
        return None

    def cosine(lr: float, epoch: int) -> float:
        fall = (1 + math.cos(math.pi * min(epoch / last, 1.0))) / 2
        return lr * (least + (1 - least) * fall)

    return cosine


def _polynomial(epochs: str, floor: str, power: str = "1") -> Rate | None:
    last, least, exponent = int(epochs) - 1, float(floor), float(power)
    if last < 1 or not 0 < least <= 1 or not 0 < exponent < math.inf:
        return None

    def polynomial(lr: float, epoch: int) -> float:
        left = 1 - min(epoch / last, 1.0)
        return lr * (least + (1 - least) * math.pow(left, exponent))

    return polynomial


def _plateau(epochs: str, factor: str, floor: str | None) -> Plateau | None:
    plateau = Plateau(int(epochs), float(factor), float(floor or 0))
    low = plateau.floor if floor is not None else 1.0
    fits = plateau.epochs >= 1 and 0 < plateau.factor < 1 and 0 < low <= 1
    return plateau if fits else None


def _listed(text: str) -> Listed | None:
    pairs = tuple((int(epoch), float(rate)) for epoch, rate in _pairs(text))
    rising = all(a < b for (a, _), (b, _) in pairwise(pairs))
    if pairs[0][0] < 1 or not rising or not all(0 < rate < math.inf for _, rate in pairs):
        return None
    return Listed(pairs)


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(e, r) for e, _, r in (item.partition("=") for item in text.split(","))]


_FORMS: tuple[tuple[str, Callable[..., Rate | Plateau | None]], ...] = (
    (CONSTANT, _constant),
    (rf"step:{_COUNT}:({_NUMBER})", _step),
    (rf"exponential:({_NUMBER})", _exponential),
    (rf"cosine:{_COUNT}:({_NUMBER})", _cosine),
    (rf"linear:{_COUNT}:({_NUMBER})", _polynomial),
    (rf"polynomial:{_COUNT}:({_NUMBER}):({_NUMBER})", _polynomial),
    (rf"plateau:{_COUNT}:({_NUMBER})(?::({_NUMBER}))?", _plateau),
    (rf"(\d{{1,9}}=(?:{_NUMBER})(?:,\d{{1,9}}=(?:{_NUMBER}))*)", _listed),
)
"""How a schedule is written, and what makes it; that gives None for numbers out of range."""
