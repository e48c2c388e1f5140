"""What one value of a target file may be: each type carries the text of what is allowed.

Pydantic's own messages name one end of a range and count a bool as an int; these name the whole
range and do not. Not for rules that join several keys: those are in `target.py`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema


@dataclass(frozen=True)
class Allowed:
    """What a value may be, in words, and the test of it; refuses all else, before conversion."""

    text: str
    test: Callable[[Any], object]
    choices: tuple[bool | str, ...] = ()
    """All values, where they are few and have no order."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_before_validator_function(self._checked, handler(source))

    def _checked(self, value: Any) -> Any:
        if not self.test(value):
            raise PydanticCustomError("not_allowed", "{allowed}", {"allowed": self.text})
        return value


def is_number(value: object, low: float = -math.inf, high: float = math.inf) -> bool:
    """A finite int or float in [low, high] that fits a float; a bool is no number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(float(value)) and low <= value <= high
    except OverflowError:
        return False


def is_printable(value: object) -> bool:
    """Hold for text of one line without control characters."""
    return isinstance(value, str) and value.isprintable()


def integer(low: int, high: int) -> Allowed:
    """Allow an int in [low, high]; a bool is none."""

    def test(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Allowed(f"an integer from {low} to {high}", test)


def text(pattern: str, allowed: str) -> Allowed:
    """Allow a string that all of `pattern` matches."""
    return Allowed(allowed, lambda v: isinstance(v, str) and re.fullmatch(pattern, v) is not None)


def choice(*choices: str) -> Allowed:
    """Allow one of these strings."""
    allowed = "one of " + ", ".join(f'"{c}"' for c in choices)
    return Allowed(allowed, lambda v: isinstance(v, str) and v in choices, choices)


MEAN = "mean"
"""Stands for the mean of pulse trains, in their place."""
RANK_1 = "rank-1"
"""Stands for exact outer products that are cut to the bounds of devices."""
WITHOUT_TRAINS = (MEAN, RANK_1)
"""Ways in which devices change without pulse trains."""
PULSED: tuple[bool | str, ...] = (False, True, MEAN, RANK_1)
"""How weights may change: exactly, by pulses, by the mean of what pulses do, or exactly within the
bounds of devices."""
Pulsed = Annotated[
    bool | Literal["mean", "rank-1"],
    Allowed(
        f'true, false, "{MEAN}" or "{RANK_1}"',
        lambda v: isinstance(v, bool) or v in WITHOUT_TRAINS,
        PULSED,
    ),
]
STOCHASTIC, MEAN_COUNT, IMPLICIT = "stochastic", "mean-count", "deterministic-implicit"
PULSES = (STOCHASTIC, MEAN_COUNT, IMPLICIT)
"""How pulse trains come to coincidences."""
Pulses = Annotated[Literal["stochastic", "mean-count", "deterministic-implicit"], choice(*PULSES)]
OVERFLOW = ("both", "errors")
"""Which lines are cut of vectors that ask for more pulses than there are slots."""
Overflow = Annotated[Literal["both", "errors"], choice(*OVERFLOW)]
Flag = Annotated[bool, Allowed("true or false", lambda v: isinstance(v, bool), (False, True))]
MAX_PINS = 100_000
"""Array ids that a layer rule may hold: more is a slip in a range."""


def array_ids(value: Any) -> Any:
    """Write out ranges of ids: [3, "8-10"] is [3, 8, 9, 10]. What is no list of ids stays."""
    if not isinstance(value, list | tuple):
        return value
    ids: list[Any] = []
    for item in value:
        bounds = re.fullmatch(r"(\d{1,9})-(\d{1,9})", item) if isinstance(item, str) else None
        span = range(int(bounds[1]), int(bounds[2]) + 1) if bounds else [item]
        if len(span) + len(ids) > MAX_PINS:
            return value
        ids += span or [item]
    return ids


def _are_ids(value: object) -> bool:
    return isinstance(value, list | tuple) and all(
        isinstance(i, int) and not isinstance(i, bool) and 0 <= i < 10**9 for i in value
    )


Name = Annotated[
    str, text(r"[A-Za-z][\w.-]{0,63}", "a letter, then letters, digits, '-', '_' or '.' (max 64)")
]
KindName = Annotated[
    str, text(r"[A-Za-z][\w-]{0,63}", "a letter, then letters, digits, '-' or '_' (max 64)")
]
Line = Annotated[
    str,
    Allowed("one line, max 200 letters", lambda v: is_printable(v) and len(v) <= 200),
]
Glob = Annotated[
    str, Allowed('a glob on layer names, as in "conv*"', lambda v: is_printable(v) and v)
]
ModelName = Annotated[
    str,
    text(
        r"(?=.{1,200}$)([a-z][a-z0-9-]*|[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*)",
        'a device model\'s name, as in "constant-step", or "module:Class"',
    ),
]
Extent = Annotated[int, integer(1, 65536)]
Count = Annotated[int, integer(0, 10**9)]
ArrayIds = Annotated[
    tuple[int, ...],
    Allowed(
        f'at most {MAX_PINS:,} array ids from 0 up and ranges of them, as in [3, "8-10"]',
        _are_ids,
    ),
    BeforeValidator(array_ids),  # the last one runs first
]
Seconds = Annotated[
    float,
    Allowed(
        "a time in seconds above 0, at most 1 (80 ns is 80e-9)", lambda v: is_number(v, 1e-18, 1)
    ),
]
Joules = Annotated[
    float, Allowed("joules from 0 to 1 (1 pJ is 1e-12)", lambda v: is_number(v, 0, 1))
]
Watts = Annotated[float, Allowed("watts from 0 to 1 (1 nW is 1e-9)", lambda v: is_number(v, 0, 1))]
Fraction = Annotated[float, Allowed("a number from 0 to 1", lambda v: is_number(v, 0, 1))]
RateScale = Annotated[float, Allowed("a number from 0 to 1e6", lambda v: is_number(v, 0, 1e6))]
Rereads = Annotated[float, Allowed("a number from 0 to 30", lambda v: is_number(v, 0, 30))]
_SIGMA = "a number from 0 to 1e6"
_BOUND = "0 (unbounded) or a number from 1e-6 to 1e6"
_BITS = "0 (no converter) or an integer from 2 to 24"


def _is_bound(value: object) -> bool:
    return is_number(value, 0, 0) or is_number(value, 1e-6, 1e6)


def _is_bits(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and (value == 0 or 2 <= value <= 24)  # type: ignore[operator]


Sigma = Annotated[float, Allowed(_SIGMA, lambda v: is_number(v, 0, 1e6))]
Bound = Annotated[float, Allowed(_BOUND, _is_bound)]
Bits = Annotated[int, Allowed(_BITS, _is_bits)]

WeightSize = Annotated[
    float, Allowed("a number from 1e-6 to 1e6", lambda v: is_number(v, 1e-6, 1e6))
]

WeightScaling = Annotated[
    float | str,
    Allowed(
        '"auto", "off", or a number from 1e-6 to 1e6',
        lambda v: (isinstance(v, str) and v in ("auto", "off")) or is_number(v, 1e-6, 1e6),
    ),
]

NO_MASK, ZEROS = "none", "zeros"


def _is_mask(value: object) -> bool:
    if not isinstance(value, str) or not is_printable(value) or len(value) > 1000:
        return False
    return value in (NO_MASK, ZEROS) or value.endswith(".npz")


MaskSource = Annotated[str, Allowed('"none", "zeros", or the path of a .npz file', _is_mask)]

SAME = "same"
"""Stands for the value of the forward cycle."""


VARIATIONS = ("dtod", "ctoc", "asymmetry", "bounds")
"""The kinds of device variation."""


def _every_kind(value: Any) -> Any:
    return list(VARIATIONS) if value == "all" else value


def _are_kinds(value: object) -> bool:
    return (
        isinstance(value, list | tuple)
        and all(isinstance(kind, str) and kind in VARIATIONS for kind in value)
        and len(set(value)) == len(value)
    )


Variations = Annotated[
    tuple[str, ...],
    Allowed(f'"all", or a list of {", ".join(VARIATIONS)} without repeats', _are_kinds),
    BeforeValidator(_every_kind),  # the last one runs first
]
PARAMETER_NAME = "a parameter name of letters, digits and '_' (max 64)"
PARAMETER = "a finite number, true or false, a name, or a list of finite numbers"
LONGEST_LIST = 1000
ParameterValue = bool | float | str | tuple[float, ...]


def is_parameter(value: object) -> bool:
    """A number, a flag, a name as of a choice, or a list of up to LONGEST_LIST numbers."""
    if isinstance(value, str):
        return re.fullmatch(r"[A-Za-z][\w-]{0,63}", value) is not None
    if isinstance(value, list | tuple):
        return 0 < len(value) <= LONGEST_LIST and all(is_number(each) for each in value)
    return isinstance(value, bool) or is_number(value)


Parameter = Annotated[ParameterValue, Allowed(PARAMETER, is_parameter)]
"""What a parameter of a model may be; which of them each is, and its range, the model says."""


def _is_cuts(value: object) -> bool:
    """Hold for numbers that rise from 0."""
    if not isinstance(value, list | tuple) or len(value) == 1:
        return False
    whole = all(isinstance(v, int) and not isinstance(v, bool) for v in value)
    return whole and list(value[:1]) in ([], [0]) and all(a < b for a, b in pairwise(value))


Cuts = Annotated[
    tuple[int, ...],
    Allowed("rising integers from 0 to the number of lines, as in [0, 200, 401]", _is_cuts),
]
Replicas = Annotated[
    int | str,
    Allowed(
        'an integer from 1 to 65536, or "auto"',
        lambda v: (
            v == "auto" or (isinstance(v, int) and not isinstance(v, bool) and 1 <= v <= 65536)
        ),
    ),
]
