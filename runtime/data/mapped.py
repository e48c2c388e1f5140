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
    return x.nbytes >= LARGE and _mapping(x) is not None


def parts(x: Array) -> Iterator[tuple[int, Array]]:
    """Yield (first row, rows) of an array, so many at once that copies of them are small.

    >>> [first for first, _ in parts(np.zeros((3, 4)))]
    [0]
    """
    rows = max(1, PART // max(1, x.nbytes // max(1, len(x))))
    mapping = _mapping(x) if is_large(x) else None
    for first in range(0, len(x), rows):
        part = x[first : first + rows]
        if mapping is not None:
            _read_ahead(mapping, part)
        yield first, part


def at_random(x: Array) -> None:
    """Let the system read of a large array what is asked for, and nothing beside it.

    Samples come in a random order: what lies around one is read in vain. (100 random samples of
    12 kB of a 20 GB file took 30 ms in place of 550.)
    """
    mapping = _mapping(x) if is_large(x) else None
    if mapping is not None and hasattr(mapping, "madvise"):
        mapping.madvise(mmap.MADV_RANDOM)


def _read_ahead(mapping: mmap.mmap, x: Array) -> None:
    """Let the system read these rows at once, whatever it was told about others."""
    if hasattr(mapping, "madvise"):
        start = np.frombuffer(mapping, np.uint8).ctypes.data
        first = x.ctypes.data - start
        begin = first - first % mmap.PAGESIZE
        length = min(first + len(x) * x.strides[0], len(mapping)) - begin
        mapping.madvise(mmap.MADV_WILLNEED, begin, length)


def _mapping(x: Array) -> mmap.mmap | None:
    """Return the map that an array lies in; None where it lies in memory of its own."""
    base: object = x
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
