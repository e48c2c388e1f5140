"""Labels and targets in the shape that a loss and a model's output want.

Which labels there are follows from the loss: classes for cross-entropy, 0 or 1 for each output for
binary cross-entropy, numbers for mse. Not for samples: that is layout.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rpucc.errors import DataError
from rpucc.losses import BINARY, LABELS
from rpucc.runtime.data.dataset import Array, check_finite
from rpucc.runtime.data.layout import Note, arranged, fits, warn


def fitted_labels(
    y: Array, output: Sequence[int], loss: str, where: str, note: Note = warn
) -> Array:
    """Return labels or targets as a loss wants them, checked; `where` names them in a DataError.

    output: [K, *space], of one sample. loss: that of a program, by its row of `rpucc.losses.LABELS`
        classes: integers 0..K-1, [n, *space]; one-hot rows of any type, [n, K, *space] or
            [n, *space, K], become that.
        bits: 0 and 1 (of any type) or floating point between them, [n, K, *space].
        targets: floating point, [n, K, *space].
        or none: whichever of these they are.
    Axes of length 1 may be missing or too many: [n, 1, H, W] are labels of pixels [n, H, W].

    >>> import numpy as np
    >>> fitted_labels(np.zeros((5, 1, 8, 6), int), (2, 8, 6), "cross-entropy", "y").shape
    (5, 8, 6)
    >>> fitted_labels(np.eye(3, dtype="f4"), (3,), "cross-entropy", "y").tolist()
    [0, 1, 2]
    """
    y = np.asarray(y)
    if loss == "none":
        loss = _loss_that_fits(y, output)
    kind = LABELS[loss]
    if kind == "targets":
        return _targets(y, output, loss, where, note)
    if kind == "bits":
        return _binary(y, output, where, note)
    return _classes(y, output, loss, where, note)


def _loss_that_fits(y: Array, output: Sequence[int]) -> str:
    """The loss that labels are made for."""
    one_hot = output[0] > 1 and _one_each(y, output)
    if y.dtype.kind == "f" and not one_hot:
        return "mse"
    whole = output[0] == 1 or (_of_output(y, output) and not one_hot)
    return BINARY if whole else "cross-entropy"


# ---------------------------------------------------------------- classes


def _classes(y: Array, output: Sequence[int], loss: str, where: str, note: Note) -> Array:
    wanted = tuple(output[1:])
    if y.dtype.kind != "f" and _same_but_ones(y.shape[1:], wanted):
        y = y.reshape(len(y), *wanted)
        _check_classes(y, output[0], where)
        return y
    if _one_each(y, output):
        rows = arranged(y, output, where, note)
        return np.asarray(rows.argmax(axis=1))
    if _of_output(y, output) and _only_bits(y):
        raise DataError(f"{where}{_first_other_than_one(y, output, loss)}")
    if y.dtype.kind == "f":
        raise DataError(
            f"{where} holds floating-point targets, but the program's loss is {loss}; store "
            "integer labels, or compile with --loss mse"
        )
    raise _class_error(y, output, where)


def _check_classes(y: Array, classes: int, where: str) -> None:
    """Raise a DataError that names the first label outside 0..classes-1."""
    if int(y.min()) < 0 or int(y.max()) >= classes:  # no copies of a map of labels for each pixel
        bad = (y < 0) | (y >= classes)
        raise DataError(
            f"{where}{_first(y, bad)}, but the model has {classes} outputs (labels "
            f"0..{classes - 1}); {int(bad.sum())} of {y.size} labels are out of range: renumber "
            "them or use a model with more outputs"
        )


def _one_each(y: Array, output: Sequence[int]) -> bool:
    """Whether labels are one-hot rows of the output's shape."""
    return _of_output(y, output) and _only_bits(y) and bool((_ones(y, output) == 1).all())


def _first_other_than_one(y: Array, output: Sequence[int], loss: str) -> str:
    ones = _ones(y, output)
    bad = ones != 1
    index = np.unravel_index(int(bad.argmax()), bad.shape)
    count = f"{int(ones[index])} ones" if ones[index] else "no 1"
    return (
        f"[{', '.join(str(int(i)) for i in index)}] holds {count}, but the program's loss is "
        f"{loss}, of one class each; for several labels or none a sample compile with "
        f"--loss {BINARY} (a 0 or 1 for each output)"
    )


def _ones(y: Array, output: Sequence[int]) -> Array:
    """How many ones there are among the outputs of each place: [n, *space]."""
    return np.asarray((arranged(y, output, "", lambda _: None) == 1).sum(axis=1))


def _only_bits(y: Array) -> bool:
    return bool(((y == 0) | (y == 1)).all())


def _class_error(y: Array, output: Sequence[int], where: str) -> DataError:
    found, wanted = list(y.shape[1:]), list(output[1:])
    sizes = "".join(f", {size}" for size in wanted)
    each = "a label for each pixel" if wanted else "one label a sample"
    return DataError(
        f"{where} has labels of shape {found} a sample, but the model's output is {list(output)}: "
        f"{each}, integers [n{sizes}], is needed"
    )


# ---------------------------------------------------------------- a number for each output


def _targets(y: Array, output: Sequence[int], loss: str, where: str, note: Note) -> Array:
    if y.dtype.kind != "f":
        other = BINARY if output[0] == 1 or _of_output(y, output) else "cross-entropy"
        raise DataError(
            f"{where} holds integer labels, but the program's loss is {loss}; store floating-point "
            f"targets, or compile with --loss {other}"
        )
    _require_fit(y, output, where)
    check_finite(y, where)
    return arranged(y, output, where, note)


def _binary(y: Array, output: Sequence[int], where: str, note: Note) -> Array:
    one_each = y.dtype.kind != "f" and _same_but_ones(y.shape[1:], output[1:])
    if one_each and not fits(y.shape[1:], output):
        raise DataError(
            f"{where} has labels of shape {list(y.shape[1:])} a sample, but the program's loss is "
            f"{BINARY} over the outputs {list(output)}: a 0 or 1 for each of them is needed; for "
            "classes compile with --loss cross-entropy"
        )
    _require_fit(y, output, where)
    check_finite(y, where)
    bad = (y < 0) | (y > 1)
    if bad.any():
        what = "targets from 0 to 1" if y.dtype.kind == "f" else "labels 0 and 1"
        raise DataError(
            f"{where}{_first(y, bad)}, but the program's loss is {BINARY}, which takes {what}; "
            f"{int(bad.sum())} of {y.size} are others: renumber them, or compile with another "
            "--loss"
        )
    return arranged(y, output, where, note)


def _require_fit(y: Array, output: Sequence[int], where: str) -> None:
    if not fits(y.shape[1:], output):
        kind = "targets" if y.dtype.kind == "f" else "labels"
        hint = "a number for each output is needed"
        if _same_but_ones(y.shape[1:], output[1:]):
            hint = "labels of classes are integers, and their loss is cross-entropy"
        raise DataError(
            f"{where} has {kind} of shape {list(y.shape[1:])} but the model's output is "
            f"{list(output)} a sample; {hint}"
        )


# ---------------------------------------------------------------- shapes


def _of_output(y: Array, output: Sequence[int]) -> bool:
    """Whether there is a number for each output, in either layout."""
    found = y.shape[1:]
    return _same_but_ones(found, output) or (len(found) == len(output) and fits(found, output))


def _same_but_ones(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether two shapes differ by axes of length 1 only."""
    return [size for size in found if size != 1] == [size for size in wanted if size != 1]


def _first(y: Array, bad: Array) -> str:
    index = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), y.shape))
    value = f"{float(y[index]):g}" if y.dtype.kind == "f" else f"label {int(y[index])}"
    return f"[{', '.join(map(str, index))}] is {value}"
