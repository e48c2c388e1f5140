"""Checks of what Python callers hand in; each error says what was found and what is allowed.

For the public functions and classes (`rpucc.__all__`); values in files have checks of their own
(`target/values.py`, the readers of data). Imports nothing heavy.
"""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Callable, Iterable
from numbers import Real
from pathlib import Path
from typing import Any, SupportsFloat, TypeVar

from rpucc.errors import ArgumentError

T = TypeVar("T")

SHOWN = 60
"""Characters of a value that a message shows."""

PATH = "a path (str or pathlib.Path)"


def wrong(name: str, value: object, allowed: str) -> ArgumentError:
    """Return the error for an argument `name` that is not what is `allowed`."""
    return ArgumentError(f"{name}: found {found(value)}; allowed: {allowed}")


def instance(name: str, value: object, kind: type[T], allowed: str) -> T:
    """Return the argument where it is of a type; raises ArgumentError."""
    if not isinstance(value, kind):
        raise wrong(name, value, allowed)
    return value


def integer(name: str, value: object, low: int, high: int | None = None) -> int:
    """Return an argument as an int from `low` to `high`; any integer type will do, no bool.

    >>> integer("epochs", 3, 1)
    3
    """
    top = f"2^{high.bit_length()} - 1" if high is not None and high > 2**53 else high
    allowed = f"an integer of {low} or more" if high is None else f"an integer from {low} to {top}"
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise wrong(name, value, allowed) from None
    if isinstance(value, bool) or number < low or (high is not None and number > high):
        raise wrong(name, value, allowed)
    return number


def positive(name: str, value: object) -> float:
    """Return an argument as a float that is positive and finite; no bool.

    >>> positive("lr", "0.1")
    Traceback (most recent call last):
    rpucc.errors.ArgumentError: lr: found the str '0.1'; allowed: a positive, finite number
    """
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and number > 0:
            return number
    raise wrong(name, value, "a positive, finite number")


def not_negative(name: str, value: object) -> float:
    """Return an argument as a float of 0 or more that is finite; no bool."""
    if isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
        if math.isfinite(number) and number >= 0:
            return number
    raise wrong(name, value, "a finite number of 0 or more")


def number(name: str, value: object) -> float:
    """Return an argument as a float, nan and infinity too; no bool, no text.

    >>> number("lr", "0.1")
    Traceback (most recent call last):
    rpucc.errors.ArgumentError: lr: found the str '0.1'; allowed: a number
    """
    if isinstance(value, SupportsFloat) and not isinstance(value, bool):
        try:
            return float(value)
        except (TypeError, ValueError, OverflowError):  # an array, a tensor of several
            pass
    raise wrong(name, value, "a number")


def integers(name: str, value: object, low: int, allowed: str) -> tuple[int, ...]:
    """Return an argument that holds several integers of `low` or more; raises ArgumentError."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(name, value, allowed)
    return tuple(integer(f"{name}[{i}]", item, low) for i, item in enumerate(value))


def numbers(name: str, value: object, allowed: str) -> tuple[float, ...]:
    """Return an argument that holds several real numbers; raises ArgumentError."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(name, value, allowed)
    items = tuple(value)
    if not all(isinstance(item, Real) and not isinstance(item, bool) for item in items):
        raise wrong(name, items, allowed)
    return tuple(float(item) for item in items)


def function(name: str, value: object, allowed: str) -> None:
    """Refuse an argument that cannot be called; None, for none, is taken."""
    if value is not None and not callable(value):
        raise wrong(name, value, allowed)


def functions(name: str, value: object) -> tuple[Callable[..., Any], ...]:
    """Return an argument that holds several functions; raises ArgumentError."""
    allowed = "a list of functions"
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(name, value, allowed)
    items = tuple(value)
    for i, item in enumerate(items):
        if not callable(item):
            raise wrong(f"{name}[{i}]", item, "a function")
    return items


def strings(name: str, value: object, allowed: str) -> tuple[str, ...]:
    """Return an argument that holds several strings; one string is refused, it is no list."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise wrong(name, value, allowed)
    return tuple(instance(f"{name}[{i}]", item, str, allowed) for i, item in enumerate(value))


def path(name: str, value: object) -> Path:
    """Return an argument as a Path; raises ArgumentError where it is none."""
    if isinstance(value, str | os.PathLike) and isinstance(os.fspath(value), str):
        return Path(value)
    raise wrong(name, value, PATH)


def found(value: object) -> str:
    """Say in a few words what a value is: its type, and the value where that is short and plain.

    >>> found(1.5), found("0.1"), found((1, 2)), found(Path)
    ('1.5', "the str '0.1'", '(1, 2)', 'the class Path')
    """
    if value is None or isinstance(value, bool | int | float):
        return _short(repr(value))
    if isinstance(value, str | bytes):
        return f"the {type(value).__name__} {_short(repr(value))}"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, tuple | list | dict | set | frozenset):
        text = repr(value)
        return text if len(text) <= SHOWN else f"a {type(value).__name__} of {len(value)}"
    module, name = type(value).__module__.partition(".")[0], type(value).__name__
    shown = name if module in ("builtins", "rpucc") else f"{module}.{name}"
    return f"{'an' if shown[0] in 'aeioAEIO' else 'a'} {shown}"


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
