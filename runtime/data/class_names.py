"""Classes that have names: which number each has.

A class is numbered by its name where a data set is read, among the names in it. Where a network was
trained on others as well, its numbers count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rpucc.errors import DataError, one_line
from rpucc.runtime.data.dataset import Array, Dataset


def numbered(classes: Sequence[str]) -> str:
    """Return names of classes with their numbers as text, at most twenty.

    >>> numbered(("cat", "dog"))
    'cat 0, dog 1'
    >>> numbered(("0", "1", "2"))
    '0 to 2'
    """
    if all(name == str(number) for number, name in enumerate(classes)):
        return f"0 to {len(classes) - 1}"
    said = ", ".join(f"{one_line(name)[:40]} {number}" for number, name in enumerate(classes[:20]))
    return said + (f" and {len(classes) - 20} more" if len(classes) > 20 else "")


def renumbered(dataset: Dataset, known: Sequence[str]) -> Dataset:
    """Return a data set whose classes have the numbers that a network was trained with.

    known: their names, by number; with none, or where the data have none, nothing changes. Raises
    DataError for a name that is not among them.
    """
    names = dataset.class_names
    if not known or not names or tuple(known) == names:
        return dataset
    y_train = in_numbers_of(dataset.y_train, names, known, dataset.name)
    y_test = in_numbers_of(dataset.y_test, names, known, dataset.name)
    note = f"{dataset.name}: classes have the numbers of the training: {numbered(known)}"
    return replace(
        dataset,
        y_train=y_train,
        y_test=y_test,
        class_names=tuple(known),
        notes=(*dataset.notes, note),
    )


def in_numbers_of(labels: Array, names: Sequence[str], known: Sequence[str], where: str) -> Array:
    """Return labels that count in `names` as labels that count in `known`; raises DataError."""
    strangers = [name for name in names if name not in known]
    if strangers:
        raise DataError(
            f"{where}: class {strangers[0][:40]!a} is none of those that were trained on: "
            f"{numbered(known)}"
        )
    order = {name: number for number, name in enumerate(known)}
    return np.array([order[name] for name in names], np.int64)[labels]
