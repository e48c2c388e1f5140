"""What a rule is: a small function whose docstring says it and whose result says what broke it.

A rule returns None where it holds, else what was found (and what would help). The first line of
its docstring is the middle of the message that a user reads: `file: node: rule: found`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rpucc.errors import ModelError

T = TypeVar("T")
Rule = Callable[[T], str | None]


def rule_text(rule: Callable[..., object]) -> str:
    """The rule as a user reads it: the first line of its docstring."""
    return (rule.__doc__ or rule.__name__).strip().splitlines()[0].rstrip(".")


def enforce(
    rules: Iterable[Rule[T]], subject: T, where: str, error: type[ModelError] = ModelError
) -> None:
    """Raise `error` for the first rule that `subject` breaks."""
    for rule in rules:
        found = rule(subject)
        if found is not None:
            raise error(f"{where}: {rule_text(rule)}: {found}")
