"""From the shape in which samples are stored to the shape that a model takes.

A file does not say which of its axes are channels; the model's shape does, wherever it can be
known. So nothing is moved before the model is there, and what is moved then is said. Not for
types and contents (dataset.py), nor for labels of classes (labels.py).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Sequence

import numpy as np

from rpucc.errors import DataError, DataWarning
from rpucc.runtime.data.dataset import Array
from rpucc.runtime.data.mapped import is_large

Note = Callable[[str], None]
"""Gets one line about a choice that the user should know of."""

IMAGE_AXES = 2
"""A sample with that many axes (longer than 1) is a grey image: only row by row makes sense."""


def warn(line: str) -> None:
    """Say it as a Python warning: what the library does where nobody else shows notes."""
    warnings.warn(line, DataWarning, stacklevel=2)


def fits(found: Sequence[int], wanted: Sequence[int]) -> bool:
    """Whether samples of shape `found` can be brought into the shape `wanted`.

    >>> fits((28, 28), (1, 28, 28)), fits((8, 8, 3), (3, 8, 8)), fits((6, 8), (8, 6))
    (True, True, False)
    """
    return axis_order(tuple(found), tuple(wanted)) is not None


def axis_order(found: tuple[int, ...], wanted: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the order of the axes of `found` that makes it `wanted`; None where there is none.

    In this order: the same shape; images and volumes whose channels lie on the other side; the same
    but for axes of length 1; to or from a vector, which holds a sample in the order in which it is
    stored. Signals [C, L] are not turned around: that might as well turn an image on its side.

    >>> axis_order((8, 6, 3), (3, 8, 6)), axis_order((3, 8, 6), (8, 6, 3))
    ((2, 0, 1), (1, 2, 0))
    """
    as_stored = tuple(range(len(found)))
    if found == wanted:
        return as_stored
    if len(found) == len(wanted) > IMAGE_AXES:
        for order in (as_stored[-1:] + as_stored[:-1], as_stored[1:] + as_stored[:1]):
            if tuple(found[axis] for axis in order) == wanted:
                return order
    flat = 1 in (len(found), len(wanted)) and math.prod(found) == math.prod(wanted)
    return as_stored if flat or _long(found) == _long(wanted) else None


def arranged(x: Array, sample: Sequence[int], where: str, note: Note = warn) -> Array:
    """Return samples [n, *found] as [n, *sample]; `where` names them.

    `note` gets a line where channels move, and where a vector takes images with channels: in which
    order a model's vector holds them nobody can know. Raises DataError, naming the stored shape.
    """
    found, wanted = tuple(x.shape[1:]), tuple(sample)
    if found == wanted:
        return x
    order = axis_order(found, wanted)
    if order is None:
        raise shape_error(where, found, wanted)
    if _turns(order, found):
        side = "last" if order[0] == len(order) - 1 else "first"
        note(
            f"{where}: samples {list(found)} are taken as channels {side} and transposed to the "
            f"model's {list(wanted)}"
        )
    elif len(wanted) == 1 and len(_long(found)) > IMAGE_AXES:
        note(
            f"{where}: samples {list(found)} become the model's vector {list(wanted)} in the order "
            "in which they are stored, the last axis varying fastest; if the model was trained on "
            f"the other order, save {_channels_moved(found)}"
        )
    elif len(found) == 1 and len(_long(wanted)) > IMAGE_AXES:
        note(
            f"{where}: vectors {list(found)} become the model's samples {list(wanted)}, the last "
            "axis varying fastest; if they hold another order, save them as images"
        )
    x = x.transpose(0, *(axis + 1 for axis in order))
    if is_large(x):  # a batch is made contiguous when it is gathered
        return x.reshape(len(x), *wanted)
    return np.ascontiguousarray(x.reshape(len(x), *wanted))


def shape_error(where: str, found: Sequence[int], wanted: Sequence[int]) -> DataError:
    """Return the error for samples of a shape that the model does not take."""
    return DataError(
        f"{where} has samples of shape {list(found)} but the model takes {list(wanted)}; "
        f"{shape_advice(found, wanted)}"
    )


def shape_advice(found: Sequence[int], wanted: Sequence[int]) -> str:
    """Return what to do about samples of a shape that the model does not take."""
    if sorted(found) == sorted(wanted):
        return f"if only the order of their axes differs, save {_turned(found, wanted)}"
    return "resize or reshape the data, or use another model"


def _turned(found: Sequence[int], wanted: Sequence[int]) -> str:
    """Return how to bring [n, *found] into the order of [n, *wanted], which has the same sizes."""
    left, axes = list(enumerate(found, start=1)), []
    for size in wanted:
        axis = next(each for each in left if each[1] == size)
        left.remove(axis)
        axes.append(axis[0])
    return _transpose(axes)


def _channels_moved(found: tuple[int, ...]) -> str:
    """Return how to bring the channels, the shorter of the outer axes, to the other side."""
    axes = list(range(1, len(found) + 1))
    return _transpose(axes[-1:] + axes[:-1] if found[-1] <= found[0] else axes[1:] + axes[:1])


def _transpose(axes: Sequence[int]) -> str:
    return f"x.transpose(0, {', '.join(map(str, axes))})"


def _turns(order: tuple[int, ...], found: tuple[int, ...]) -> bool:
    """Whether an order of axes moves a number: where only axes of length 1 move, none does."""
    moved = [axis for axis in order if found[axis] != 1]
    return moved != sorted(moved)


def _long(shape: Sequence[int]) -> list[int]:
    """The axes that are not of length 1."""
    return [size for size in shape if size != 1]
