"""What the options of a compilation may be: each checked, and in the form that the compiler takes.

Raises ArgumentError, which names the option. Imports nothing heavy. Not for which options there
are: that is `options.py`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rpucc import arguments, limits, losses
from rpucc.errors import ArgumentError

if TYPE_CHECKING:
    from rpucc.passes.insertion import Insertion

INTERVAL = "two finite numbers"
SMOOTHING = "a number from 0 to below 1"
WEIGHTS = "one number of 0 or more a class, not all of them 0"
INIT = "he, glorot, lecun or uniform, also with a seed, as in he:3"
NUMBERS = "a finite number, or one for each channel, as in (0.485, 0.456, 0.406)"
SHAPE = "sizes of 1 or more without the batch, as in (3, 224, 224)"

BALANCED = "balanced"
"""What stands for the weights that the data's labels say, where a command reads the data."""


def interval(where: str, words: Sequence[str | float]) -> tuple[float, float]:
    """Return two finite numbers, the lower first; raises ArgumentError, which starts with `where`.

    >>> interval("input_range", ["0", "2.5"])
    (0.0, 2.5)
    """
    try:
        low, high = (float(word) for word in words)
    except ValueError:
        low, high = math.nan, math.nan
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        found = " ".join(map(str, words))
        raise ArgumentError(
            f"{where}: needs {INTERVAL}, the lower first, as in 0 1; found {found!r}"
        )
    return low, high


def input_range(given: object) -> tuple[float, float] | None:
    """Return the checked option of that name; None as it is."""
    if given is None:
        return None
    return interval("input_range", arguments.numbers("input_range", given, INTERVAL))


def check_loss(given: object) -> None:
    """Raise ArgumentError for what is no loss."""
    if isinstance(given, str):
        if losses.named(given) is None and not losses.is_file(given):
            raise arguments.wrong("loss", given, losses.ALLOWED)
    elif not isinstance(given, bytes | os.PathLike):
        import onnx
        import onnx_ir as ir

        if not isinstance(given, onnx.ModelProto | ir.Model):
            raise arguments.wrong("loss", given, losses.ALLOWED)


def class_weights(where: str, given: object) -> tuple[float, ...]:
    """Return checked weights of classes; raises ArgumentError, which starts with `where`."""
    found = arguments.numbers(where, given, WEIGHTS)
    if not all(0 <= weight < 1e30 for weight in found) or not any(found):
        raise ArgumentError(f"{where}: needs {WEIGHTS}; found {', '.join(map(str, found))[:60]}")
    return found


def class_weights_option(given: object) -> object:
    """Return the checked option `class_weights`: None, a function and "balanced" as they are."""
    if given is None or callable(given) or (isinstance(given, str) and given == BALANCED):
        return given
    return class_weights("class_weights", given)


def frozen(given: object) -> tuple[str, ...]:
    """Return the checked option `freeze`."""
    allowed = "a list of layers' names or patterns, as in ['conv*']"
    for i, pattern in enumerate(found := arguments.strings("freeze", given, allowed)):
        if not pattern or pattern.strip() != pattern or "=" in pattern:
            raise arguments.wrong(f"freeze[{i}]", pattern, "a layer's name or a pattern")
    return found


def initial(where: str, given: object, seed: int = 0) -> str:
    """Return how weights are drawn, with its seed: by default this one; raises ArgumentError.

    >>> initial("init", "he"), initial("init", "glorot", 3), initial("init", "lecun:7", 3)
    ('he:0', 'glorot:3', 'lecun:7')
    """
    from rpucc.models.initial import INITS

    name, colon, number = given.partition(":") if isinstance(given, str) else ("", "", "")
    digits = number if colon else str(seed)
    if name not in INITS or not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise arguments.wrong(where, given, INIT)
    if int(digits) > limits.SEED:
        raise arguments.wrong(where, given, f"{INIT}, up to {limits.SEED}")
    return f"{name}:{int(digits)}"


def by_channel(name: str, given: object, above: float = -math.inf) -> tuple[float, ...] | None:
    """Return the checked option `name`, mean or std: each number finite, and above that."""
    if given is None:
        return None
    found = (given,) if isinstance(given, int | float) else given
    numbers = arguments.numbers(name, found, NUMBERS)
    if not numbers or not all(math.isfinite(x) and _as_float32(x) > above for x in numbers):
        raise arguments.wrong(name, given, NUMBERS + (" above 0" if above == 0 else ""))
    return numbers


def _as_float32(number: float) -> float:
    """What a network computes with: tiny numbers are 0."""
    return 0.0 if abs(number) < 1e-38 else number


def insertions(given: object, *, training: bool) -> tuple[Insertion, ...]:
    """Return the checked option `passes`."""
    if given == ():  # most calls: the passes need not be loaded to look at none
        return ()
    from rpucc.passes.insertion import Insertion
    from rpucc.passes.pipeline import check_insertions

    if not isinstance(given, list | tuple):
        raise arguments.wrong("passes", given, "a list, as in [rpucc.after('tile', MyPass())]")
    for i, each in enumerate(given):
        allowed = "rpucc.after(…) or rpucc.before(…)"
        arguments.instance(f"passes[{i}]", each, Insertion, allowed)
    check_insertions(given, training=training)
    return tuple(given)
