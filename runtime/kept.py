"""What is made once and kept, but only the few that were used last: executors, with their buffers.

An executor holds a buffer for every value of a network, for one batch size. A training has two
sizes, a batch and a rest; who goes through many sizes would fill the memory with what is never
used again.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, ValuesView
from typing import Generic, TypeVar

KEPT = 8
"""How many of a kind: what a training and its evaluations take at once is less."""

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Kept(Generic[K, V]):
    """Up to `most` values by key; what was not asked for the longest goes.

    >>> kept = Kept[int, str](most=2)
    >>> [kept.get(size, lambda: f"made for {size}") for size in (1, 2, 1, 3)][-1]
    'made for 3'
    >>> list(kept.values())
    ['made for 1', 'made for 3']
    """

    def __init__(self, dropped: Callable[[V], None] = lambda value: None, most: int = KEPT) -> None:
        """`dropped` is called with each value that goes to make room."""
        self._dropped, self._most = dropped, most
        self._values: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return the value of a key, made where there is none."""
        value = self._values.pop(key) if key in self._values else make()
        self._values[key] = value  # the last
        while len(self._values) > self._most:
            self._dropped(self._values.pop(next(iter(self._values))))
        return value

    def values(self) -> ValuesView[V]:
        """What is kept, the longest unused first."""
        return self._values.values()

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
