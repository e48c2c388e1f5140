"""Which layers a rule of a target is about, and saying so where it is about none.

A rule's pattern is a layer's name or a glob (`patterns.py`). A network's layers have several
names, as the file and as its weights call them (`passes/frontend/names.py`): `bound` writes a
target's rules for one network in the names that its layers go by. Not for what the rules change:
`target/target.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Mapping
from typing import TYPE_CHECKING

from rpucc.errors import TargetError, one_line
from rpucc.feedback import is_feedback, ruled_as
from rpucc.patterns import matches, pattern_of

if TYPE_CHECKING:
    from rpucc.target.target import LayerRule, Target

MAX_NAMES = 24
"""Layers that a message lists."""

Names = Mapping[str, Collection[str]]
"""The name that a layer goes by -> its other names."""


def bound(target: Target, layers: Names, model: str) -> Target:
    """Return the target with the rules for one network, in the names that its layers go by.

    A pattern that is a layer's whole name means that layer alone. A rule that matches by other
    names becomes one rule for each layer. model: what messages call the network. Raises
    TargetError, one line for each rule that matches no layer.
    """
    rules: list[LayerRule] = []
    problems = []
    for rule in target.layers:
        found = _matched(rule.match, layers)
        if not found:
            problems.append(f"target {target.name}: {_unmatched(rule.match, layers, model)}")
        elif found == [name for name in layers if matches(rule.match, name)]:
            rules.append(rule)
        else:
            rules += [rule.model_copy(update={"match": pattern_of(name)}) for name in found]
    if problems:
        raise TargetError(*problems)
    return (
        target
        if tuple(rules) == target.layers
        else target.model_copy(update={"layers": tuple(rules)})
    )


def _matched(pattern: str, layers: Names) -> list[str]:
    """Return the layers that a pattern is about."""
    named = [pattern] if pattern in layers else [n for n in layers if pattern in layers[n]]
    if named:
        return named
    return [
        name for name, others in layers.items() if any(matches(pattern, n) for n in (name, *others))
    ]


def _unmatched(pattern: str, layers: Names, model: str) -> str:
    hint = known_names(pattern, layers)
    if is_feedback(pattern):
        hint = f"the rules of {one_line(ruled_as(pattern))!r} hold for its feedback matrix too"
    return f"layer rule {one_line(pattern)!r} matches no layer of {one_line(model)}; {hint}"


def known_names(wrong: str, layers: Names) -> str:
    """Return the end of a message about a name that no layer has: the nearest one, and all.

    >>> known_names("con1", {"conv1": (), "fc": ()})
    "did you mean 'conv1'? layers: conv1, fc"
    """
    if not layers:
        return "it has no layers with constant weights"
    near = difflib.get_close_matches(wrong, list(_spellings(layers)), 1)
    names = [one_line(name) for name in layers]
    rest = len(names) - MAX_NAMES
    listed = ", ".join(names[:MAX_NAMES]) + (f" and {rest} more" if rest > 0 else "")
    return f"{f'did you mean {one_line(near[0])!r}? ' if near else ''}layers: {listed}"


def _spellings(layers: Names) -> Iterator[str]:
    for name, others in layers.items():
        yield from (name, *others)
