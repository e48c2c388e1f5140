"""Arrays that are too large to be read: they stay in their file, mapped into memory.

What is done to a whole array goes part by part here, and what is done to samples batch by batch
(`feed.py`). Not for what a file's header says: that is its reader's.
"""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError

Array = npt.NDArray[Any]

LARGE = 1 << 30
"""From so many bytes on an array stays in its file. Below, reading it costs little memory, what
becomes of the file does not matter, and batches are gathered without another copy."""

PART = 64 << 20
"""Bytes that are looked at in one go."""


def map_array(path: Path, offset: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return the array that lies in a file from a byte on, without reading it; raises DataError."""
    try:
        return np.memmap(path, dtype, "r", offset, shape)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: {math.prod(shape) * dtype.itemsize:,} bytes cannot be mapped into memory: "
            f"{getattr(error, 'strerror', None) or error}"
        ) from error


def is_large(x: Array) -> bool:
    """Whether an array is to stay in its file: it is large, and mapped (by whomever).

    >>> is_large(np.zeros((3, 4)))
    False
    """
    if x.nbytes < LARGE:
        return False
    base: object = x
    while isinstance(base, np.ndarray):
        if isinstance(base, np.memmap):
            return True
        base = base.base
    return isinstance(base, mmap.mmap)


def parts(x: Array) -> Iterator[tuple[int, Array]]:
    """Yield (first row, rows) of an array, so many at once that copies of them are small.

    >>> [first for first, _ in parts(np.zeros((3, 4)))]
    [0]
    """
    rows = max(1, PART // max(1, x.nbytes // max(1, len(x))))
    for first in range(0, len(x), rows):
        yield first, x[first : first + rows]
