"""Which samples a training takes next: those of arrays in a drawn order, batches as they come.

Not for how samples get into a program (`feed.py`), nor for what a step does with them (`step.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import DataError
from rpucc.runtime.counters import check_draws
from rpucc.runtime.data.streams import ONE_SHOT, Streamed, warn_of_order
from rpucc.runtime.kernels.philox import shuffle

if TYPE_CHECKING:
    from rpucc.runtime.counters import Counters
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.feed import Feed, Rows

Array = NDArray[Any]


class Batch(NamedTuple):
    """The samples of a step: order[first], order[first + 1], … of the rows."""

    rows: Rows
    order: Array
    first: int
    labels: Array
    """Of these samples, as many as the step has."""


class Batches(Protocol):
    """The batches of a training."""

    samples: int
    """In an epoch; 0 while a stream has not said how many."""

    def epoch(self, counters: Counters, key: tuple[Any, ...]) -> Iterator[Batch]:
        """Yield the batches of the epoch under way from where the counters stand.

        The counters move on while they are taken.
        """


class ArrayBatches:
    """Batches of arrays, in an order that is drawn anew for each epoch."""

    def __init__(
        self, feed: Feed, dataset: Dataset, size: int, chosen: Array | None = None
    ) -> None:
        """`chosen`: which samples are trained on; None for all."""
        self._rows = feed.rows(dataset.x_train, "x_train")
        self._labels, self._size = dataset.y_train, size
        self._chosen = np.arange(len(self._labels)) if chosen is None else chosen
        self.samples = len(self._chosen)

    def epoch(self, counters: Counters, key: tuple[Any, ...]) -> Iterator[Batch]:
        """Yield the batches of an epoch; the last may be smaller."""
        rows, labels, n = self._rows, self._labels, self.samples
        order = self._chosen.copy()
        shuffle(order, counters.earlier + counters.epoch, *key)
        while counters.done < n:
            first = counters.done
            yield Batch(rows, order, first, labels[order[first : min(first + self._size, n)]])


class StreamBatches:
    """The batches of a stream, as it gives them."""

    def __init__(self, feed: Feed, dataset: Streamed, epochs: int, *, resumable: bool) -> None:
        """`epochs` are to be trained; `resumable`: whether a training may go on later, or does."""
        self._feed, self._stream = feed, dataset.stream
        self.samples = self._stream.samples or 0
        if self._stream.one_shot and epochs > 1:
            raise DataError(f"{self._stream.name} {ONE_SHOT}")
        if resumable:
            warn_of_order(self._stream)

    def epoch(self, counters: Counters, key: tuple[Any, ...]) -> Iterator[Batch]:
        """Yield the batches of an epoch, as large as they come."""
        for x, y in self._stream.batches(counters.done):
            check_draws(counters.sample + len(y), "")
            rows = self._feed.rows(x, self._stream.name)
            yield Batch(rows, np.arange(len(y)), 0, y)
        self.samples = counters.done
