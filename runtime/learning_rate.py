"""Learning-rate schedules: the rate of each epoch, from the first rate and a line of text.

A schedule knows nothing but the number of epochs that are complete, so a resumed training goes on
with the rate that it would have had, however many epochs are added to it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np

from rpucc import arguments
from rpucc.errors import ArgumentError, RpuccError

Schedule = Callable[[float, int], float]
"""(first rate, epochs that are complete) -> the rate of the next epoch."""

CONSTANT = "constant"

ALLOWED = (
    "constant; step:EPOCHS:FACTOR (times FACTOR, in (0, 1], every EPOCHS epochs); "
    "cosine:EPOCHS:FLOOR (half a cosine down to FLOOR, in (0, 1], times the first rate in epoch "
    "EPOCHS, which is 2 or more); or EPOCH=RATE,EPOCH=RATE,… (new rates from these epochs on, "
    "which rise and count from 1)"
)

_NUMBER = r"\d+\.?\d*(?:e[+-]?\d+)?|\.\d+(?:e[+-]?\d+)?"


def parse_schedule(text: str) -> Schedule:
    """Return the schedule that a line of text describes.

    Raises ArgumentError, one line that says what is allowed.

    >>> step = parse_schedule("step:10:0.5")
    >>> [step(0.01, epoch) for epoch in (0, 9, 10, 20)]
    [0.01, 0.01, 0.005, 0.0025]
    >>> listed = parse_schedule("2=0.005,4=0.001")
    >>> [listed(0.01, epoch) for epoch in range(5)]
    [0.01, 0.005, 0.005, 0.001, 0.001]
    """
    arguments.instance("lr_schedule", text, str, ALLOWED)
    if text == CONSTANT:
        return lambda lr, epoch: lr
    for pattern, make in _FORMS:
        found = re.fullmatch(pattern, text)
        schedule = make(*found.groups()) if found else None
        if schedule is not None:
            return schedule
    raise ArgumentError(f"learning-rate schedule {text!r}: allowed: {ALLOWED}")


def check_rate(lr: float) -> None:
    """Refuse a rate that float32 cannot hold: it would become 0 or infinity, or lose its digits."""
    limits = np.finfo(np.float32)
    if not float(limits.tiny) <= lr <= float(limits.max):
        raise RpuccError(
            f"learning rate {lr:g}: lies beyond float32 ({limits.tiny:.2g} to {limits.max:.2g})"
        )


def _step(epochs: str, factor: str) -> Schedule | None:
    every, times = int(epochs), float(factor)
    if every < 1 or not 0 < times <= 1:
        return None
    return lambda lr, epoch: lr * times ** (epoch // every)


def _cosine(epochs: str, floor: str) -> Schedule | None:
    last, least = int(epochs) - 1, float(floor)
    if last < 1 or not 0 < least <= 1:
        return None

    def cosine(lr: float, epoch: int) -> float:
        fall = (1 + math.cos(math.pi * min(epoch / last, 1.0))) / 2
        return lr * (least + (1 - least) * fall)

    return cosine


def _listed(text: str) -> Schedule | None:
    pairs = [(int(epoch), float(rate)) for epoch, rate in _pairs(text)]
    rising = all(a < b for (a, _), (b, _) in pairwise(pairs))
    if pairs[0][0] < 1 or not rising or not all(0 < rate < math.inf for _, rate in pairs):
        return None

    def listed(lr: float, epoch: int) -> float:
        return next((rate for first, rate in reversed(pairs) if epoch + 1 >= first), lr)

    return listed


def _pairs(text: str) -> list[tuple[str, str]]:
    return [(e, r) for e, _, r in (item.partition("=") for item in text.split(","))]


_COUNT = r"(\d{1,9})"
_FORMS: tuple[tuple[str, Callable[..., Schedule | None]], ...] = (
    (rf"step:{_COUNT}:({_NUMBER})", _step),
    (rf"cosine:{_COUNT}:({_NUMBER})", _cosine),
    (rf"(\d{{1,9}}=(?:{_NUMBER})(?:,\d{{1,9}}=(?:{_NUMBER}))*)", _listed),
)
"""How a schedule is written, and what makes it; that gives None for numbers out of range."""
