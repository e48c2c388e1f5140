"""Batches that come one after the other: PyTorch's DataLoader, generators, whatever is iterated.

A stream is read batch by batch and never held as a whole; its batches, and their order, are its
own. Not for the epochs that are trained on them (`runtime/batches.py`).
"""

from __future__ import annotations

import copy
import inspect
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

import numpy as np

from rpucc.errors import DataError, DataWarning
from rpucc.runtime.data.dataset import Array, Dataset, Samples, as_inputs, as_labels, named
from rpucc.runtime.data.npy import MAX_BYTES

Source = Iterable[Any] | Callable[[], Iterable[Any]]
Fit = Callable[[Samples, Array, str], tuple[Samples, Array]]
"""Brings samples and labels into the shapes of a model; the text names them."""

ONE_SHOT = (
    "can be gone through only once; give what starts anew for each epoch: a DataLoader, an object "
    "with __iter__, or the function that makes the generator"
)


def is_stream(value: object) -> TypeGuard[Source]:
    """Whether a value is a stream: it can be iterated, or is a function, but has no items.

    >>> is_stream(iter([])), is_stream(lambda: iter([])), is_stream(np.zeros(3)), is_stream([])
    (True, True, False, False)
    """
    if hasattr(value, "__getitem__") or isinstance(value, type):
        return False
    return hasattr(value, "__iter__") or inspect.isroutine(value)


class Stream:
    """Batches (x, y) as NumPy has them, checked one by one."""

    def __init__(self, source: Source, name: str) -> None:
        """Take a source of batches; `name` is what messages call it."""
        self.name = name
        self._source = source
        self._begun: Iterator[Any] | None = None
        self._fit: Fit = lambda x, y, where: (x, y)

    def first(self) -> tuple[Samples, Array]:
        """Return the first batch, with which the first epoch begins all the same."""
        batches = self._iterated()
        found = next(batches, None)
        if found is None:
            raise DataError(f"{self.name}: there is no batch in it")
        self._begun = itertools.chain([found], batches)
        return _pair(found, f"{self.name}: batch 1")

    def fitted(self, fit: Fit) -> Stream:
        """Return the stream with what brings its batches into the shapes of a model."""
        shaped = copy.copy(self)
        shaped._fit = fit
        return shaped

    @property
    def one_shot(self) -> bool:
        """Whether the source can be gone through only once."""
        return hasattr(self._source, "__next__")

    @property
    def samples(self) -> int | None:
        """How many there are in an epoch, where the source says so as a DataLoader does."""
        source: Any = self._source
        try:
            if getattr(source, "drop_last", False):
                return len(source) * int(source.batch_size)
            return len(source.sampler)
        except (AttributeError, TypeError, NotImplementedError):  # a data set that is a stream
            return None

    @property
    def ordered(self) -> bool:
        """Whether the source says that its order is always the same."""
        sampler = getattr(self._source, "sampler", None)
        return type(sampler).__name__ == "SequentialSampler"

    def batches(self, done: int = 0) -> Iterator[tuple[Samples, Array]]:
        """Yield the batches of an epoch, but for those of its first `done` samples.

        Raises DataError where a batch is none, and where no batch ends at `done`.
        """
        passed = 0
        for number, found in enumerate(self._iterated(), start=1):
            where = f"{self.name}: batch {number}"
            x, y = _pair(found, where)
            if passed >= done:
                yield self._fit(x, y, where)
                continue
            passed += len(y)
            if passed > done:
                raise DataError(
                    f"{self.name}: training stopped after {done:,} samples of an epoch, but batch "
                    f"{number} ends after {passed:,}; give the batches of before"
                )
        if passed < done:
            raise DataError(
                f"{self.name}: training stopped after {done:,} samples of an epoch, but there are "
                f"{passed:,}; give the batches of before"
            )

    def _iterated(self) -> Iterator[Any]:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        source = self._source
        made: Any = source() if inspect.isroutine(source) else source
        return iter(made)


@dataclass(frozen=True, eq=False, repr=False)
class Streamed(Dataset):
    """A data set whose training part is a stream; x_train, y_train are its first batch."""

    stream: Stream = field(kw_only=True)


def streamed(train: Source, test: Any) -> Streamed:
    """Return the data set of a stream to train on, and of a test part that is read at once.

    test: a stream, too, or (x, y). Raises DataError.
    """
    if is_stream(test):
        test = collected(test, "the test part")
    if not isinstance(test, tuple) or len(test) != 2:
        raise DataError(
            "data: beside batches to train on, a test part is needed: (batches, test batches), or "
            "(batches, (x_test, y_test))"
        )
    stream = Stream(train, "the training part")
    return Streamed("data", *stream.first(), *test, stream=stream)


def collected(source: Source, name: str) -> tuple[Samples, Array]:
    """Return the samples and labels of a stream as arrays; together they may have MAX_BYTES."""
    xs: list[dict[str, Array]] = []
    ys: list[Array] = []
    size, alone = 0, True
    for x, y in Stream(source, name).batches():
        alone = not isinstance(x, Mapping)
        xs.append(dict(x) if isinstance(x, Mapping) else {"": x})
        ys.append(y)
        size += y.nbytes + sum(each.nbytes for each in xs[-1].values())
        if size > MAX_BYTES:
            raise DataError(
                f"{name}: its first {len(ys)} batches have {size:,} bytes; the limit for what is "
                f"held as a whole is {MAX_BYTES:,}: give fewer"
            )
    if not xs:
        raise DataError(f"{name}: there is no batch in it")
    try:
        joined = {key: np.concatenate([each[key] for each in xs]) for key in xs[0]}
        y = np.concatenate(ys)
    except (ValueError, KeyError) as error:
        raise DataError(f"{name}: its batches are not alike: {error}") from error
    return (joined[""] if alone else joined), y


def warn_of_order(stream: Stream) -> None:
    """Say, once, that the order is the stream's own, where going on depends on it."""
    if not stream.ordered:
        warnings.warn(
            "the samples come in the order of their loader: a training that is resumed gives the "
            "same weights only if the loader repeats that order (no shuffling, or one whose seed "
            "depends on the epoch); rpucc.load_dataset of the same loaders shuffles by itself",
            DataWarning,
            stacklevel=4,
        )


def _pair(found: Any, where: str) -> tuple[Samples, Array]:
    """Return a batch as arrays; raises DataError where it is none."""
    if not isinstance(found, tuple | list) or len(found) != 2:
        what = f"{len(found)} parts" if isinstance(found, tuple | list) else type(found).__name__
        raise DataError(f"{where} is {what}; each batch needs (x, y), samples and their labels")
    x, y = as_inputs(found[0], f"{where}: x"), as_labels(found[1], f"{where}: y")
    for what, each in named(x, "x").items():
        if len(each) != len(y):
            raise DataError(f"{where}: {len(each)} samples in {what} but {len(y)} labels")
    return x, y
