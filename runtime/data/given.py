"""What a caller of a trainer means by data: a data set, batches as they come, or samples alone.

Not for whether they fit a program: that is fit.py.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, TypeGuard

from rpucc.errors import ArgumentError
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.data.load import is_data_set, load_dataset
from rpucc.runtime.data.streams import Streamed, collected, is_stream, streamed

if TYPE_CHECKING:
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.data.streams import Source


def given_data(data: object, inputs: Collection[str]) -> Dataset:
    """Return the data set that is meant; inputs: the names of the network's."""
    if _is_streamed(data):
        return streamed(*data)
    return load_dataset(data, inputs=inputs)  # type: ignore[arg-type]


def given_samples(data: Any, inputs: Collection[str], *, trained: bool = False) -> Samples:
    """Return samples alone as they are; of what has labels, too, the test part.

    trained: instead of that the training part.
    """
    if is_stream(data):
        return collected(data, "the samples")[0]
    if isinstance(data, Mapping):
        alone = set(data) == set(inputs) or not is_data_set(data)
    else:
        alone = not isinstance(data, Dataset | str | os.PathLike | tuple)
    if alone:
        return data  # type: ignore[no-any-return]
    if trained and _is_streamed(data):
        return collected(data[0], "the training part")[0]
    found = given_data(data, inputs)
    return found.x_train if trained else found.x_test


def given_labelled(data: Any, y: Any, inputs: Collection[str]) -> tuple[Any, Any]:
    """Return samples and labels: as they are given, or where there is no y the test part."""
    if is_stream(data):
        return collected(data, "the samples")
    if y is not None:
        return data, y
    dataset = given_data(data, inputs)
    return dataset.x_test, dataset.y_test


def _is_streamed(data: object) -> TypeGuard[tuple[Source, Any]]:
    """Whether batches to train on are meant, with a test part."""
    return isinstance(data, tuple) and len(data) == 2 and is_stream(data[0])


def own_batch(dataset: Streamed, given: int) -> int:
    """The batch size of a stream, of which a caller can give no other."""
    own = len(dataset.y_train)
    if given not in (1, own):
        raise ArgumentError(
            f"batch_size: found {given}, but the data come in batches of {own}; leave it out, or "
            "make the loader with that"
        )
    return own
