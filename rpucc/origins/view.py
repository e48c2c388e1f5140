"""Which elements of one constant the elements of another one are, as sizes and strides.

What passes do with a weight's layout (transposes, cuts, groups, copies) are steps of constant
length through its numbers, so a few integers say it for any number of elements.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]

MOST_AXES = 32


@dataclass(frozen=True)
class View:
    """Elements offset + Σ i_k · strides[k] of a flat array, i_k in range(sizes[k]), in `shape`."""

    shape: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0

    @classmethod
    def whole(cls, shape: Sequence[int]) -> View:
        """All elements in their order."""
        count = math.prod(shape)
        return cls(tuple(shape), (count,), (1,)) if count > 1 else cls(tuple(shape), (), ())

    @classmethod
    def of(cls, index: NDArray[np.integer[Any]]) -> View | None:
        """Return the view that an array of flat indices is; None where they follow no strides.

        >>> View.of(np.arange(6).reshape(2, 3).T)
        View(shape=(3, 2), sizes=(3, 2), strides=(1, 3), offset=0)
        """
        if index.size == 0:
            return None
        flat = np.ascontiguousarray(index).reshape(-1)
        rest, sizes, strides = flat, list[int](), list[int]()
        while len(rest) > 1:
            stride = int(rest[1]) - int(rest[0])
            breaks = np.flatnonzero(np.diff(rest) != stride)
            run = _divisor(len(rest), int(breaks[0]) + 1 if len(breaks) else len(rest))
            if run == 1:
                return None
            sizes.insert(0, run)
            strides.insert(0, stride)
            rest = rest[::run]
        found = cls(tuple(index.shape), tuple(sizes), tuple(strides), int(flat[0]))
        same = len(sizes) <= MOST_AXES and np.array_equal(found.index().reshape(-1), flat)
        return found if same else None

    @property
    def count(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    @property
    def is_plain(self) -> bool:
        """Whether its elements are in the order that they have in the array, from the first on."""
        return self.offset == 0 and self.strides in ((), (1,))

    @property
    def is_injective(self) -> bool:
        """Whether no element is there twice."""
        if self.is_plain:
            return True
        return len(np.unique(self.index())) == self.count

    @property
    def bounds(self) -> tuple[int, int]:
        """The lowest and the highest index."""
        steps = [(n - 1) * s for n, s in zip(self.sizes, self.strides, strict=True)]
        low = self.offset + sum(step for step in steps if step < 0)
        return low, self.offset + sum(step for step in steps if step > 0)

    def index(self) -> Index:
        """Return the flat indices, in `shape`."""
        found = np.array([self.offset], np.int64)
        for size, stride in zip(self.sizes, self.strides, strict=True):
            found = (found[:, np.newaxis] + np.arange(size, dtype=np.int64) * stride).reshape(-1)
        return found.reshape(self.shape)

    def of_array(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return these elements of an array."""
        flat = array.reshape(-1)
        return flat[: self.count].reshape(self.shape) if self.is_plain else flat[self.index()]

    def to_dict(self) -> dict[str, Any]:
        """As plain data; where all is in order there is only the shape."""
        plain = {"shape": list(self.shape)}
        if self.is_plain:
            return plain
        steps = {"sizes": list(self.sizes), "strides": list(self.strides), "offset": self.offset}
        return {**plain, **steps}

    @classmethod
    def from_dict(cls, data: Any) -> View:
        """Read what `to_dict` wrote; raises ValueError."""
        shape = integers(data.get("shape"), 0)
        if "strides" not in data:
            return cls.whole(shape)
        sizes, strides = integers(data.get("sizes"), 1), integers(data["strides"], -(2**62))
        offset = data.get("offset")
        fits = len(sizes) == len(strides) and math.prod(sizes) == math.prod(shape)
        if not fits or type(offset) is not int or not 0 <= offset < 2**62:
            raise ValueError("has a view of impossible sizes")
        return cls(shape, sizes, strides, offset)


def integers(data: Any, low: int) -> tuple[int, ...]:
    """Return a list of plain data as integers from `low` up; raises ValueError."""
    good = isinstance(data, list) and len(data) <= MOST_AXES
    if not good or not all(type(each) is int and low <= each < 2**62 for each in data):
        raise ValueError("has a list that holds no sizes")
    if math.prod(data) > 2**40:
        raise ValueError("has more than 2^40 elements")
    return tuple(data)


def _divisor(length: int, most: int) -> int:
    """Return the largest divisor of a length up to `most`."""
    return next(n for n in range(most, 0, -1) if length % n == 0)
