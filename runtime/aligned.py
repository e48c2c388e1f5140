"""Arrays that start on a cache line, so that a vector of 16 floats of theirs lies on one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

LINE = 64
"""Bytes of a cache line, and of the widest vector."""


def empty(shape: tuple[int, ...], dtype: DTypeLike, spare: int = 0) -> NDArray[Any]:
    """An uninitialised array on a cache line, with `spare` elements that may be read behind it.

    NumPy's own arrays start 16 or 32 bytes behind a line: every vector then takes two lines, which
    cost an update of a 512 x 512 tile a tenth of its time.
    """
    kind = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64))
    raw = np.empty((size + spare) * kind.itemsize + LINE, np.uint8)
    start = -raw.ctypes.data % LINE
    return raw[start : start + size * kind.itemsize].view(kind).reshape(shape)


def copy(values: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """A copy of values on a cache line, row by row."""
    result = empty(values.shape, dtype)
    result[...] = values
    return result
