"""Validation samples: a share of the training part, drawn from the seed, or data of their own.

They are not trained on; the test part is left alone, so that what is chosen by them can be tested.
Not for what is chosen: `watch.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import ArgumentError, DataError
from rpucc.runtime.data.dataset import Dataset, Samples
from rpucc.runtime.drawn import drawn
from rpucc.runtime.kernels.philox import VALIDATION

Array = NDArray[Any]

SHARE = "a share of the training samples, above 0 and below 1"


@dataclass(frozen=True)
class Validation:
    """Samples that are validated on, as the model takes them, and which of the others train."""

    x: Samples
    y: Array
    trained: Array | None = None
    """Which of the training part are trained on, int64 rising; None for all."""


def parse_validation(text: str) -> float | str:
    """Return the share that a text is, or the text where it names data.

    Raises ArgumentError for a number that is no share.

    >>> parse_validation("0.1"), parse_validation("12.5%"), parse_validation("held-out.npz")
    (0.1, 0.125, 'held-out.npz')
    """
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        return text
    share = number / 100 if text.endswith("%") else number
    if not 0 < share < 1:
        raise ArgumentError(f"validation: found {text}; allowed: {SHARE}, or data")
    return share


def share_of(n: int, share: float, batch: int = 1) -> int:
    """Return how many of n samples a share is, in whole batches; 0 where that is not possible."""
    return min(max(round(share * n / batch), 1) * batch, (n - 1) // batch * batch)


def split(
    dataset: Dataset, share: float, key: tuple[np.uint32, np.uint32], batch: int = 1
) -> Validation:
    """Take a share of the training part away from training, drawn without replacement.

    The draw is addressed by the seed alone (`key`), so every part of a resumed training has the
    same samples; both parts stay in stored order. At least one sample goes to each; of a model with
    a fixed `batch` whole batches do.

    Raises ArgumentError for a share out of range, DataError where there are too few samples.
    """
    if not 0 < share < 1:
        raise ArgumentError(f"validation: found {share:g}; allowed: {SHARE}")
    n = len(dataset.y_train)
    count = share_of(n, share, batch)
    if count < 1:
        raise DataError(
            f"{dataset.name}: {n} training samples cannot be divided into some to train and some "
            f"to validate{f', in batches of {batch}' if batch > 1 else ''}"
        )
    chosen = drawn(n, count, VALIDATION, key)
    return Validation(
        _rows(dataset.x_train, chosen),
        dataset.y_train[chosen],
        np.setdiff1d(np.arange(n), chosen, assume_unique=True),
    )


def whole(dataset: Dataset) -> Dataset:
    """Return a data set whose training part is all of the samples of another one, both parts."""
    x = _joined(dataset.x_train, dataset.x_test)
    y = np.concatenate((dataset.y_train, dataset.y_test))
    return Dataset(f"validation ({dataset.name})", x, y, dataset.x_test, dataset.y_test)


def _rows(x: Samples, chosen: Array) -> Samples:
    if isinstance(x, Mapping):
        return {name: each[chosen] for name, each in x.items()}
    return x[chosen]


def _joined(a: Samples, b: Samples) -> Samples:
    if isinstance(a, Mapping):
        assert isinstance(b, Mapping)  # a Dataset has the same inputs in both parts
        return {name: np.concatenate((each, b[name])) for name, each in a.items()}
    assert not isinstance(b, Mapping)
    return np.concatenate((a, b))
