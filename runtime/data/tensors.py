"""Arrays in safetensors files: eight bytes with the length of a header, the header, the values.

The format is github.com/huggingface/safetensors. Values are looked at where they lie, so that
large arrays can be mapped (mapped.py); the header is believed in nothing. Not for checkpoints
(`runtime/checkpoint_file.py`), nor for writing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from rpucc.errors import DataError
from rpucc.runtime.data import mapped
from rpucc.runtime.data.npy import MAX_AXES, Array, unreadable

TYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "U8": np.dtype(np.uint8),
    "I8": np.dtype(np.int8),
    "I16": np.dtype("<i2"),
    "U16": np.dtype("<u2"),
    "I32": np.dtype("<i4"),
    "U32": np.dtype("<u4"),
    "I64": np.dtype("<i8"),
    "U64": np.dtype("<u8"),
    "F16": np.dtype("<f2"),
    "F32": np.dtype("<f4"),
    "F64": np.dtype("<f8"),
}
"""Types of the format that NumPy has."""

MAX_HEADER = 100_000_000
"""Bytes, as the format's own reader has it."""


@dataclass(frozen=True)
class _Tensor:
    """Where an array lies in its file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    size: int


def tensor_names(path: Path) -> list[str]:
    """Return the names of the arrays in a safetensors file, in stored order; raises DataError."""
    return list(_entries(path)[0])


def read_tensors(path: Path, keys: Sequence[str]) -> dict[str, Array]:
    """Return the named arrays of a safetensors file; what is large is mapped. Raises DataError."""
    entries, begin = _entries(path)
    arrays: dict[str, Array] = {}
    for key in keys:
        found = _tensor(path, key, entries[key], begin)
        if found.size >= mapped.LARGE:
            arrays[key] = mapped.map_array(path, found.start, found.dtype, found.shape)
            continue
        try:
            with path.open("rb") as stream:
                stream.seek(found.start)
                content = bytearray(stream.read(found.size))
        except OSError as error:
            raise unreadable(path, error) from error
        arrays[key] = np.frombuffer(content, found.dtype).reshape(found.shape)
    return arrays


def _entries(path: Path) -> tuple[dict[str, Any], int]:
    """Return what the header says of each array, and the byte that the values begin at."""
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            room = path.stat().st_size - 8
            if room < 2 or length > min(room, MAX_HEADER):
                raise DataError(
                    f"{path} is not a safetensors file, or cut off: its first eight bytes announce "
                    f"a header of {length:,} bytes; copy or download it again"
                )
            text = stream.read(length)
        header = json.loads(text)
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not a safetensors file: its header is no JSON") from error
    if not isinstance(header, dict):
        raise DataError(f"{path} is not a safetensors file: its header is no JSON object")
    return {key: each for key, each in header.items() if key != "__metadata__"}, 8 + length


def _tensor(path: Path, key: str, entry: Any, begin: int) -> _Tensor:
    """Return where an array lies, held against the file; raises DataError."""
    where = f"{path}: array {key[:40]!a}"
    found: dict[str, Any] = entry if isinstance(entry, dict) else {}
    kind, shape, offsets = found.get("dtype"), found.get("shape"), found.get("data_offsets")
    if not (isinstance(kind, str) and _are_sizes(shape) and _are_sizes(offsets)):
        raise DataError(f"{where} has a damaged header; copy or download the file again")
    dtype = TYPES.get(kind)
    if dtype is None:
        raise DataError(
            f"{where} has type {kind[:20]!a}; {', '.join(TYPES)} can be read: save it as F32"
        )
    size = math.prod(shape) * dtype.itemsize
    first, last = offsets if len(offsets) == 2 else (0, -1)
    room = path.stat().st_size - begin
    if last - first != size or last > room or len(shape) > MAX_AXES:
        raise DataError(
            f"{where}: its header says {kind} {str(shape)[:60]} at bytes {str(offsets)[:60]}, of "
            f"{room:,}; the file is cut off or damaged: copy or download it again"
        )
    return _Tensor(dtype, tuple(shape), begin + first, size)


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    return isinstance(value, list) and all(type(size) is int and size >= 0 for size in value)
