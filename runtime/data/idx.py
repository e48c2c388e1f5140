"""Data sets as folders of IDX files, the form in which MNIST and its relatives are published.

IDX: two zero bytes, a type code, the number of axes, the axes' sizes as big-endian 32-bit
integers, then the values (Y. LeCun, yann.lecun.com/exdb/mnist). Not for writing them.
"""

from __future__ import annotations

import gzip
import math
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from rpucc.errors import DataError
from rpucc.runtime.data import mapped
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.data.npy import MAP_ADVICE, MAX_BYTES, Array, Stream, read_exactly, unreadable
from rpucc.runtime.data.packed import reading_gzip

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype(np.uint8),
    0x09: np.dtype(np.int8),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
"""IDX type codes."""

MAX_AXES = 8
MAX_DEFLATE_RATIO = 1032
"""The deflate format packs at most 1,032 bytes into one (zlib's technical details)."""

FILE_NAME = re.compile(r"(train|t10k)[-.](images|labels)[-.]idx\d[-.]ubyte(\.gz)?")
PARTS = (("train", "images"), ("train", "labels"), ("t10k", "images"), ("t10k", "labels"))


def load_idx_folder(folder: Path, name: str | None = None) -> Dataset:
    """Return the data set in a folder of IDX files; `name` is what messages call it.

    Files: train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and
    t10k-labels-idx1-ubyte, each also with .gz (the plain file wins) and with dots for dashes
    (train-images.idx3-ubyte). Raises DataError.
    """
    files = find_idx_files(folder)
    missing = [idx_name(*part) for part in PARTS if part not in files]
    if missing:
        raise DataError(
            f"{folder} has no file {' and no '.join(missing)} (or .gz); expected a folder with "
            f"the IDX files {', '.join(idx_name(*part) for part in PARTS)}, or an .npz file"
        )
    x_train, y_train, x_test, y_test = (read_idx(files[part]) for part in PARTS)
    return Dataset(name or str(folder), x_train, y_train, x_test, y_test)


def find_idx_files(folder: Path) -> dict[tuple[str, str], Path]:
    """Return the IDX files of a folder by part, such as ("train", "images"); raises DataError."""
    files: dict[tuple[str, str], Path] = {}
    try:
        # Gzipped files first: a plain one then takes the place of its packed twin.
        for path in sorted(folder.iterdir(), key=lambda path: (path.suffix != ".gz", path.name)):
            match = FILE_NAME.fullmatch(path.name)
            if match and path.is_file():
                files[match[1], match[2]] = path
    except OSError as error:
        raise unreadable(folder, error) from error
    return files


def idx_name(part: str, kind: str) -> str:
    """Return the usual file name: ("train", "images") is train-images-idx3-ubyte."""
    return f"{part}-{kind}-idx{3 if kind == 'images' else 1}-ubyte"


def read_idx(path: Path) -> Array:
    """Return the array in an IDX file, gzipped when its name ends in .gz.

    Raises DataError for a wrong magic number, sizes that do not agree with the file's, a
    truncated or damaged gzip stream, and more than MAX_BYTES that are packed.
    """
    with reading_gzip(path):
        stored = path.stat().st_size
        if path.suffix == ".gz":
            with gzip.open(path) as stream:
                return _read(stream, path, stored * MAX_DEFLATE_RATIO, exact=False)
        with path.open("rb") as stream:
            return _read(stream, path, stored, exact=True)


def _read(stream: Stream, path: Path, most: int, *, exact: bool) -> Array:
    """Return the array of an IDX stream that has `most` bytes: exactly, or at most."""
    dtype, shape = _read_header(stream, path)
    size = math.prod(shape) * dtype.itemsize
    maps = exact and size >= mapped.LARGE
    if size > MAX_BYTES and not maps:
        raise DataError(
            f"{path}: the header announces {size:,} bytes (shape {list(shape)}); the limit is "
            f"{MAX_BYTES:,}: {MAP_ADVICE}"
        )
    room = most - 4 - 4 * len(shape)
    if size > room or (exact and size != room):
        raise DataError(
            f"{path}: the header announces {size:,} bytes (shape {list(shape)}) but the file "
            f"{'holds' if exact else 'can hold at most'} {room:,}; it is truncated or damaged: "
            "copy or download it again"
        )
    if maps:
        return mapped.map_array(path, most - size, dtype, shape)
    return np.frombuffer(read_exactly(stream, size, str(path)), dtype).reshape(shape)


def _read_header(stream: Stream, path: Path) -> tuple[np.dtype[Any], tuple[int, ...]]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        raise DataError(
            f"{path} is not an IDX file: it starts with {magic.hex(' ') or 'nothing'}; expected "
            "00 00, a type code (08 for bytes) and the number of axes"
        )
    axes = magic[3]
    if not 1 <= axes <= MAX_AXES:
        raise DataError(f"{path}: the IDX header announces {axes} axes; expected 1 to {MAX_AXES}")
    sizes = stream.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError(f"{path}: the IDX header is truncated: copy or download the file again")
    return TYPES[magic[2]], struct.unpack(f">{axes}I", sizes)
