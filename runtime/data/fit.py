"""Whether a data set fits a model: shapes of samples and labels, classes, finite numbers.

Everything is checked before the first step, and said in one line. Not for which axes are channels:
that is layout.py.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Array, Dataset, check_finite
from rpucc.runtime.data.layout import Note, arranged, shape_error, warn


def fitted(
    dataset: Dataset, sample: Sequence[int], output: Sequence[int], note: Note = warn
) -> Dataset:
    """Return the data set in the shapes of a model, checked by `check_fits`.

    sample, output: shapes of the model's input and output without the batch axis. Which axes are
    channels is decided as `layout.arranged` says; `note` gets a line where that is a choice.
    Raises DataError.
    """
    shaped = copy.copy(dataset)  # not `replace`: all has been checked
    for part in ("train", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        said = note if part == "train" else _unsaid  # both parts are alike
        x = arranged(x, sample, f"{dataset.name}: x_{part}", said)
        y = fitted_labels(y, output, f"{dataset.name}: y_{part}")
        object.__setattr__(shaped, f"x_{part}", x)
        object.__setattr__(shaped, f"y_{part}", y)
    check_fits(shaped, sample, output)
    return shaped


def check_fits(dataset: Dataset, sample: Sequence[int], output: Sequence[int]) -> None:
    """Raise a DataError unless a model with these samples and outputs can train on the data.

    Checked: shapes, NaN and infinity in samples and targets, and labels in 0..classes-1, where
    output is [classes, *space]. (Empty parts and lengths that differ cannot occur: `Dataset`
    refuses them.) Nothing is reshaped: that is `fitted`.
    """
    for part in ("train", "test"):
        x, y = getattr(dataset, f"x_{part}"), getattr(dataset, f"y_{part}")
        if tuple(x.shape[1:]) != tuple(sample):
            raise shape_error(f"{dataset.name}: x_{part}", x.shape[1:], sample)
        check_finite(x, f"{dataset.name}: x_{part}")
        where = f"{dataset.name}: y_{part}"
        if tuple(y.shape[1:]) != label_shape(y, output):
            raise label_error(y, output, where)
        if y.dtype.kind == "f":
            check_finite(y, where)
        else:
            check_labels(y, output[0], where)


def fitted_labels(y: Array, output: Sequence[int], where: str) -> Array:
    """Return labels or targets in the shape that a model's output wants; DataError if none.

    Axes of length 1 may be missing or too many: [n, 1, H, W] are labels of pixels [n, H, W].

    >>> import numpy as np
    >>> fitted_labels(np.zeros((5, 1, 8, 6), int), (2, 8, 6), "y").shape
    (5, 8, 6)
    """
    wanted = label_shape(y, output)
    if not _same_but_ones(y.shape[1:], wanted):
        raise label_error(y, output, where)
    return y.reshape(len(y), *wanted)


def label_shape(y: Array, output: Sequence[int]) -> tuple[int, ...]:
    """Return the shape of one sample's labels: the output's without classes; of targets: the same.

    output: [classes, *space].
    """
    return tuple(output) if y.dtype.kind == "f" else tuple(output[1:])


def label_error(y: Array, output: Sequence[int], where: str) -> DataError:
    """Return the error for labels or targets of a shape that the output does not want."""
    found, wanted = list(y.shape[1:]), list(label_shape(y, output))
    if y.dtype.kind == "f":
        return DataError(
            f"{where} has targets of shape {found} but the model's output is {wanted} a sample; "
            "labels of classes must be stored as integers"
        )
    if found == list(output):
        hint = f"turn one-hot labels into numbers with .argmax(axis=1), giving [n{_tail(wanted)}]"
    elif wanted:
        hint = f"a label for each pixel, integers [n{_tail(wanted)}], is needed"
    else:
        hint = "one label a sample, integers [n], is needed"
    return DataError(
        f"{where} has labels of shape {found} a sample, but the model's output is "
        f"{list(output)}: {hint}"
    )


def check_labels(y: Array, classes: int, where: str) -> None:
    """Raise a DataError that names the first label outside 0..classes-1."""
    bad = (y < 0) | (y >= classes)
    if bad.any():
        index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), y.shape))
        raise DataError(
            f"{where}[{', '.join(map(str, index))}] is label {int(y[index])}, but the model has "
            f"{classes} outputs (labels 0..{classes - 1}); {int(bad.sum())} of {y.size} labels are "
            "out of range: renumber them or use a model with more outputs"
        )


def _unsaid(line: str) -> None:
    """Leave out what has been said already."""


def _same_but_ones(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two shapes differ by axes of length 1 only."""
    return [size for size in found if size != 1] == [size for size in wanted if size != 1]


def _tail(shape: Sequence[int]) -> str:
    return "".join(f", {size}" for size in shape)
