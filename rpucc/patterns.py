"""Patterns of layer rules: a layer's name, or a glob of names.

Imports nothing of rpucc, because targets are made of rules. Which layers of a network a rule is
about: `layer_rules.py`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Generic, Protocol, TypeVar


def matches(pattern: str, name: str) -> bool:
    """Whether a rule's pattern is a layer's name or a glob that matches it.

    >>> matches("f[0]", "f[0]"), matches("f[0]", "f0"), matches("conv*", "conv1")
    (True, True, True)
    """
    return pattern == name or (_is_glob(pattern) and fnmatchcase(name, pattern))


def _is_glob(pattern: str) -> bool:
    return any(sign in pattern for sign in "*?[")


class HasMatch(Protocol):
    """A rule of a target."""

    @property
    def match(self) -> str:
        """Its pattern."""


RuleT = TypeVar("RuleT", bound=HasMatch)


class Matcher(Generic[RuleT]):
    """Finds the rules about a name without a look at each: a plan file has one for every layer."""

    def __init__(self, rules: Sequence[RuleT]) -> None:
        self._rules = rules
        self._globs = [i for i, rule in enumerate(rules) if _is_glob(rule.match)]
        self._named: dict[str, list[int]] = {}
        for i, rule in enumerate(rules):
            self._named.setdefault(rule.match, []).append(i)

    def of(self, name: str) -> list[RuleT]:
        """Return the rules that match a layer's name, in their order."""
        found = {i for i in self._globs if matches(self._rules[i].match, name)}
        return [self._rules[i] for i in sorted(found.union(self._named.get(name, ())))]


def pattern_of(name: str) -> str:
    """Return the glob that matches this name alone.

    >>> pattern_of("f[0]")
    'f[[]0]'
    """
    return re.sub(r"[*?[]", lambda found: f"[{found[0]}]", name)
