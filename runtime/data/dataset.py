"""A data set in memory: its types and lengths, and its scaling to a model's input range.

Every source (npz.py, idx.py, named.py) ends here, so data of any origin are checked alike.
Not for reading files, nor for whether the data fit a model (fit.py) or which axes are channels
(layout.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rpucc import arguments
from rpucc.errors import DataError, one_line
from rpucc.runtime.data.mapped import is_large, parts

Array = npt.NDArray[Any]

Samples = Array | Mapping[str, Array]
"""[n, ...], or such an array for each input of a network with several, by the input's name."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Training and test samples with their labels, checked.

    name: what messages call it (a path or the name of a data set).
    x_train, x_test: [n, C, H, W], [n, H, W, C], [n, H, W] images, volumes, signals or [n,
        features], uint8 (0..255) or floating point, kept in the stored shape and type: which axes
        are channels is found out once there is a model (`fitted`). For a network with several
        inputs a dictionary, with such an array for each by its name.
    y_train, y_test: int64 labels [n], integer labels of pixels [n, *spatial] in the stored type,
        or float32 targets [n] or [n, ...].
    class_names: of labels that were made of names, the name of class 0, 1, …; else empty.
    notes: lines about how files were read that their owner may want to know.

    Raises DataError for empty data, wrong types, and lengths or shapes that do not agree.

    >>> import numpy as np
    >>> images = np.zeros((4, 28, 28), np.uint8)
    >>> labels = np.array([0, 1, 2, 1])
    >>> data = Dataset("tiny", images, labels, images[:2], labels[:2])
    >>> data.sample_shape, data.classes
    ((28, 28), 3)
    """

    name: str
    x_train: Samples
    y_train: Array
    x_test: Samples
    y_test: Array
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        arguments.instance("Dataset(name)", self.name, str, "a string that messages call it by")
        for part in ("train", "test"):
            x = as_inputs(getattr(self, f"x_{part}"), f"{self.name}: x_{part}")
            y = as_labels(getattr(self, f"y_{part}"), f"{self.name}: y_{part}")
            for what, samples in named(x, f"x_{part}").items():
                if len(samples) != len(y):
                    raise DataError(
                        f"{self.name}: {what} has {len(samples)} samples but y_{part} has "
                        f"{len(y)}; each sample needs one label"
                    )
            object.__setattr__(self, f"x_{part}", x)
            object.__setattr__(self, f"y_{part}", y)
        self._check_inputs()
        for axis in ("x", "y"):
            parts = (named(getattr(self, name), name) for name in (f"{axis}_train", f"{axis}_test"))
            for (what, train), (other, test) in zip(*(part.items() for part in parts), strict=True):
                if train.shape[1:] != test.shape[1:] or (train.dtype.kind == "f") != (
                    test.dtype.kind == "f"
                ):
                    raise DataError(
                        f"{self.name}: {what} has samples of {describe(train)} but {other} of "
                        f"{describe(test)}; both parts must be alike"
                    )

    def _check_inputs(self) -> None:
        """Hold that both parts have the same inputs, and in one order."""
        train, test = self.x_train, self.x_test
        if not isinstance(train, Mapping) and not isinstance(test, Mapping):
            return
        names = [list(x) if isinstance(x, Mapping) else [] for x in (train, test)]
        if not isinstance(train, Mapping) or set(names[0]) != set(names[1]):
            found, other = (", ".join(each) or "one array" for each in names)
            raise DataError(
                f"{self.name}: x_train has {found} but x_test {other}; both parts must have the "
                "same inputs"
            )
        object.__setattr__(self, "x_test", {name: test[name] for name in train})

    @property
    def sample_shape(self) -> tuple[int, ...] | dict[str, tuple[int, ...]]:
        """Shape of one sample, without the batch axis; of several inputs each, by name."""
        if isinstance(self.x_train, Mapping):
            return {name: tuple(x.shape[1:]) for name, x in self.x_train.items()}
        return tuple(self.x_train.shape[1:])

    @property
    def classes(self) -> int:
        """Number of classes: the largest label of both parts plus one; 0 for regression."""
        if self.y_train.dtype.kind == "f":
            return 0
        return int(max(self.y_train.max(), self.y_test.max())) + 1

    def __repr__(self) -> str:
        parts = f"{len(self.y_train):,} + {len(self.y_test):,}"
        sample = ", ".join(
            f"{what[1:]} {x.dtype} {list(x.shape[1:])}".strip()
            for what, x in named(self.x_train, "x").items()
        )
        labels = f"{self.classes} classes" if self.classes else "targets"
        return f"<Dataset {self.name!r}: {parts} samples {sample}, {labels}>"


def as_array(value: object, where: str) -> Array:
    """Return what NumPy makes of a value; DataError where it cannot (lists of unequal lengths)."""
    try:
        return np.asarray(value)
    except (ValueError, TypeError, RuntimeError) as error:  # tensors raise the last two
        raise DataError(f"{where} cannot be made a NumPy array: {one_line(error)}") from error


def named(x: Samples, where: str) -> dict[str, Array]:
    """Return each array with what messages call it: `where`, or `where['input']` of several.

    >>> import numpy as np
    >>> list(named({"a": np.zeros(2), "b": np.ones(2)}, "x_train"))
    ["x_train['a']", "x_train['b']"]
    """
    if isinstance(x, Mapping):
        return {f"{where}[{name!r}]": each for name, each in x.items()}
    return {where: x}


def as_inputs(x: object, where: str) -> Samples:
    """Return samples as `Dataset` holds them, of one input or of several; raises DataError."""
    if not isinstance(x, Mapping):
        return as_samples(x, where)
    if not x or not all(isinstance(name, str) for name in x):
        raise DataError(f"{where} needs the name of an input for each array, found {list(x)!r:.60}")
    return {name: as_samples(each, f"{where}[{name!r}]") for name, each in x.items()}


def as_samples(x: object, where: str) -> Array:
    """Return samples as `Dataset` holds them; `where` names them in a DataError."""
    x = as_array(x, where)
    if x.dtype != np.uint8 and x.dtype.kind != "f":
        raise DataError(
            f"{where} has type {x.dtype}; pixels must be uint8 (0..255) or floating point; "
            "convert them with .astype"
        )
    if x.ndim < 2:
        raise DataError(
            f"{where} has shape {list(x.shape)}; samples must be [n, C, H, W], [n, H, W, C], "
            "[n, H, W] or [n, features]"
        )
    if x.size == 0:
        raise DataError(f"{where} is empty (shape {list(x.shape)}); at least one sample is needed")
    if is_large(x):  # brought into order batch by batch
        return x
    if not x.dtype.isnative:
        x = x.astype(x.dtype.newbyteorder("="))
    return np.ascontiguousarray(x)


def as_labels(y: object, where: str) -> Array:
    """Return labels or targets as `Dataset` holds them; `where` names them in a DataError."""
    y = as_array(y, where)
    if y.dtype.kind not in "biuf":
        raise DataError(
            f"{where} has type {y.dtype}; labels must be integers, regression targets "
            "floating point"
        )
    if y.size == 0:
        raise DataError(f"{where} is empty (shape {list(y.shape)}); at least one label is needed")
    if y.ndim == 0:
        raise DataError(f"{where} is a single number; labels must be [n] or [n, *spatial]")
    if y.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return np.ascontiguousarray(y, dtype=np.float32)
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.dtype == np.uint64:
        y = np.minimum(y, np.uint64(np.iinfo(np.int64).max))  # out of range anyway, not negative
    if y.ndim == 1 or y.dtype == np.uint64:
        return np.ascontiguousarray(y, dtype=np.int64)
    stored = np.uint8 if y.dtype.kind == "b" else y.dtype.newbyteorder("=")
    return np.ascontiguousarray(y, dtype=stored)  # eight bytes a pixel would be a waste


def scaled(
    x: Array,
    input_range: tuple[float, float],
    *,
    dtype: npt.DTypeLike = np.float32,
    name: str = "data",
) -> Array:
    """Return samples as floating point in the range that the model was compiled for.

    uint8 maps linearly, 0 to input_range[0] and 255 to input_range[1]; floating-point data pass
    unchanged. Shape is kept. Raises DataError (`name` says whose) for NaN, infinity or other types.

    >>> import numpy as np
    >>> scaled(np.array([0, 51, 255], np.uint8), (-1.0, 1.0)).tolist()
    [-1.0, -0.6000000238418579, 1.0]
    """
    low, high = input_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"{name}: input range {low} {high} must be two finite numbers, low < high")
    if x.dtype == np.uint8:
        table = (low + (high - low) * (np.arange(256) / 255.0)).astype(dtype)
        return np.asarray(table[x])
    if x.dtype.kind != "f":
        raise DataError(f"{name} has type {x.dtype}; it must be uint8 (0..255) or floating point")
    with np.errstate(over="ignore"):
        result = x.astype(dtype, copy=False)
    check_finite(result, name)
    return result


def check_finite(x: Array, where: str) -> None:
    """Raise a DataError that names the first NaN or infinity of floating-point `x`."""
    if x.dtype.kind != "f":
        return
    index: tuple[int, ...] | None = None
    count = 0
    for first, rows in parts(x):
        bad = ~np.isfinite(rows)
        if index is None and bad.any():
            inner = tuple(int(i) for i in np.unravel_index(int(bad.argmax()), bad.shape))
            index = (first + inner[0], *inner[1:])
        count += 0 if index is None else int(bad.sum())
    if index is not None:
        found = "NaN" if np.isnan(x[index]) else "an infinite value"
        raise DataError(
            f"{where}[{', '.join(map(str, index))}] is {found} ({count} of {x.size} values are not "
            "finite); clean the data, for example with np.nan_to_num"
        )


def describe(x: Array) -> str:
    """Return shape and type of one sample as text."""
    return f"shape {list(x.shape[1:])} and type {x.dtype}"
