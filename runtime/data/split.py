"""Samples that nobody has divided: which of them become the test part.

Not for which file holds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Array, Dataset, Samples, named


def tail_start(samples: int) -> int:
    """Return where the test part of an undivided data set begins: at its last tenth."""
    return samples - max(1, samples // 10)


def split_tail(name: str, x: Samples, y: Array) -> Dataset:
    """Return x, y as a data set whose test part is the last tenth, at least one sample."""
    for what, each in named(x, "x").items():
        if each.ndim == 0 or y.ndim == 0 or len(each) != len(y) or len(y) < 2:
            raise DataError(
                f"{name}: {what} has shape {list(each.shape)} and y {list(y.shape)}; they need "
                "equal lengths of at least 2 (the last tenth becomes the test part)"
            )
    cut = tail_start(len(y))
    head, tail = (_sliced(x, part) for part in (slice(cut), slice(cut, None)))
    return Dataset(name, head, y[:cut], tail, y[cut:])


def _sliced(x: Samples, part: slice) -> Samples:
    """Return some of the samples, of every input."""
    return {name: each[part] for name, each in x.items()} if isinstance(x, Mapping) else x[part]


def class_tails(labels: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Return which samples are among the last tenth of their class, at least one of two or more.

    For data that lie class by class. The order within a class is the stored one.

    >>> class_tails(np.array([0, 0, 0, 1, 2, 2])).astype(int).tolist()
    [0, 0, 1, 0, 0, 1]
    """
    tail = np.zeros(len(labels), np.bool_)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        if len(places) > 1:
            tail[places[tail_start(len(places)) :]] = True
    return tail
