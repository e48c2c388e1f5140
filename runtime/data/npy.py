"""Reading one .npy array from a stream that nobody vouches for.

The header is checked against the number of bytes that are there, and against a limit, before
any memory is taken; pickled objects are refused unread. What is large and lies uncompressed in a
file is mapped (mapped.py). Not for archives: that is npz.py.
"""

from __future__ import annotations

import math
import tokenize
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from rpucc.errors import DataError
from rpucc.npy_header import npy_header
from rpucc.runtime.data import mapped

Array = npt.NDArray[Any]

MAX_BYTES = 4 << 30
"""Largest array, in bytes, that is read: CIFAR-100 has 0.2e9, ImageNet at 32 × 32 pixels 3.9e9.
What can be mapped has no limit."""
MAP_ADVICE = "use a smaller part of the data, or store it uncompressed: then it stays in its file"

CHUNK = 1 << 20
MAX_AXES = 8
NPY_MAGIC = b"\x93NUMPY"
PICKLE_START = b"\x80"
PICKLE_ADVICE = (
    "rpucc never unpickles data: load it where you trust it and save plain number arrays "
    "with np.savez_compressed"
)


class Stream(Protocol):
    """What is needed of a file, a zip member or a gzip stream."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes; none at the end."""

    def tell(self) -> int:
        """Return the position in unpacked bytes."""


def read_npy(
    stream: Stream, available: int, where: str, place: tuple[Path, int] | None = None
) -> Array:
    """Return the array of numbers in a .npy stream of `available` bytes.

    `where` names file and array in messages. place: the file that holds the stream as it is, and
    the byte that it begins at; then a large array is mapped. Raises DataError for what is no .npy,
    needs pickle, holds no numbers, is too large, or has more or fewer bytes than its header says.
    Exceptions of the stream itself (a corrupt zip) pass through.
    """
    shape, fortran, dtype = _read_header(stream, where)
    if dtype.hasobject:
        raise DataError(f"{where} holds Python objects and needs pickle; {PICKLE_ADVICE}")
    if dtype.kind not in "biuf":
        raise DataError(f"{where} has type {dtype}; only real numbers can be read")
    if len(shape) > MAX_AXES or min(shape, default=0) < 0:
        raise DataError(f"{where} has an impossible shape {_short(shape)}; make the file again")
    size = math.prod(shape) * dtype.itemsize
    maps = place is not None and size >= mapped.LARGE and not fortran
    if size > MAX_BYTES and not maps:
        advice = "store it in C order (np.ascontiguousarray)" if fortran else MAP_ADVICE
        raise DataError(
            f"{where} claims {size:,} bytes (shape {_short(shape)}, {dtype}); the limit is "
            f"{MAX_BYTES:,}: {advice}"
        )
    stored = available - stream.tell()
    if size != stored:
        raise DataError(
            f"{where} claims {size:,} bytes (shape {_short(shape)}, {dtype}) but holds "
            f"{stored:,}; the file is damaged: copy or download it again"
        )
    if place is not None and maps:
        return mapped.map_array(place[0], place[1] + stream.tell(), dtype, shape)
    content = read_exactly(stream, size, where)
    array: Array = np.frombuffer(content, dtype=dtype)
    return array.reshape(shape, order="F" if fortran else "C")


def read_npy_file(path: Path) -> Array:
    """Return the array in the .npy file at `path`; raises DataError as `read_npy` does."""
    try:
        with path.open("rb") as stream:
            return read_npy(stream, path.stat().st_size, str(path), (path, 0))
    except OSError as error:
        raise unreadable(path, error) from error


def npy_names(folder: Path) -> list[str]:
    """Return the names of the .npy files in a folder, without their suffix; raises DataError."""
    try:
        return sorted(path.stem for path in folder.iterdir() if path.suffix == ".npy")
    except OSError as error:
        raise unreadable(folder, error) from error


def read_npy_folder(folder: Path, keys: Sequence[str]) -> dict[str, Array]:
    """Return the arrays in the .npy files of a folder by these names; raises DataError."""
    return {key: read_npy_file(folder / f"{key}.npy") for key in keys}


def read_exactly(stream: Stream, size: int, where: str) -> bytearray:
    """Return exactly `size` bytes, or raise a DataError when there are fewer or more.

    Grows with what arrives, so a false size takes no memory.
    """
    content = bytearray()
    while len(content) < size:
        chunk = stream.read(min(CHUNK, size - len(content)))
        if not chunk:
            raise DataError(
                f"{where} ends after {len(content):,} of {size:,} bytes; the file is truncated: "
                "copy or download it again"
            )
        content += chunk
    if stream.read(1):
        raise DataError(
            f"{where} has more than the {size:,} bytes that its header announces; the file is "
            "damaged: copy or download it again"
        )
    return content


def unreadable(path: Path, error: OSError) -> DataError:
    """Return the error for a file that the system does not let us read."""
    return DataError(f"{path} cannot be read: {error.strerror or error}")


def _read_header(stream: Stream, where: str) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    magic = stream.read(len(NPY_MAGIC))
    if magic[:1] == PICKLE_START:
        raise DataError(f"{where} is a pickle; {PICKLE_ADVICE}")
    if magic != NPY_MAGIC:
        raise DataError(
            f"{where} is {'not a NumPy array' if magic else 'empty'}; save it with np.save or "
            "np.savez"
        )
    version = tuple(stream.read(2))
    if version not in ((1, 0), (2, 0)):  # 3.0 exists for structured types with Unicode names only
        raise DataError(
            f"{where} has .npy version {'.'.join(map(str, version))}; 1.0 and 2.0 can be read: "
            "save it again as a plain array of numbers"
        )
    try:
        return npy_header(stream, version)
    except (ValueError, TypeError, SyntaxError, RecursionError, tokenize.TokenError) as error:
        raise DataError(
            f"{where} has a damaged .npy header ({type(error).__name__}); copy or download the "
            "file again"
        ) from error


def _short(shape: tuple[int, ...]) -> str:
    """Return a shape as text of bounded length."""
    text = str(list(shape[: MAX_AXES + 1]))
    return text if len(text) <= 80 else text[:77] + "..."
