"""Names in a line for people: the first few, and how many more there are."""

from __future__ import annotations

from collections.abc import Iterable

NAMES_IN_A_NOTE = 3
"""Names that a line lists before it only counts the rest."""


def listed(names: Iterable[str]) -> str:
    """Return names for a note: 'a', 'b', 'c' and 4 more.

    >>> listed(["conv1", "conv2", "fc1", "fc2"])
    "'conv1', 'conv2', 'fc1' and 1 more"
    """
    return shortened(repr(name) for name in names)


def shortened(texts: Iterable[str]) -> str:
    """Return the first few texts of a list, and how many more there are."""
    texts = list(texts)
    more = len(texts) - NAMES_IN_A_NOTE
    return ", ".join(texts[:NAMES_IN_A_NOTE]) + (f" and {more} more" if more > 0 else "")
