"""What a rule is: a small function whose docstring says it and whose result says what broke it.

A rule returns None where it holds, else what was found (and what would help). The first line of
its docstring is the middle of the message that a user reads: `file: node: rule: found`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from rpucc.errors import ModelError, RpuccError

MOST_LETTERS = 600
"""Of what was found: a list of thousands of numbers is no line to read."""

T = TypeVar("T")
Rule = Callable[[T], str | None]


def rule_text(rule: Callable[..., object]) -> str:
    """The rule as a user reads it: the first line of its docstring."""
    return (rule.__doc__ or rule.__name__).strip().splitlines()[0].rstrip(".")


class Problems:
    """What becomes of a problem: it is raised at once, or, to `collect`, kept beside the others.

    A step that goes on after a problem calls `gate` before it relies on there being none.
    """

    def __init__(self, *, collect: bool = False) -> None:
        self.collect = collect
        self.found: list[RpuccError] = []

    def add(self, error: RpuccError) -> None:
        """Raise the error, or keep it."""
        if not self.collect:
            raise error
        self.found.append(error)

    def gate(self) -> None:
        """Raise the first problem found so far: the one that a compilation stops at."""
        if self.found:
            raise self.found[0]


def enforce(
    rules: Iterable[Rule[T]],
    subject: T,
    where: str,
    error: type[ModelError] = ModelError,
    problems: Problems | None = None,
) -> None:
    """Raise `error`, or add it to `problems`, for the first rule that `subject` breaks."""
    for rule in rules:
        found = rule(subject)
        if found is not None:
            found = found if len(found) <= MOST_LETTERS else f"{found[:MOST_LETTERS]}..."
            (problems or Problems()).add(error(f"{where}: {rule_text(rule)}: {found}"))
            return  # later rules may rely on earlier ones
