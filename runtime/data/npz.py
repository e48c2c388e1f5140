"""Arrays in NumPy's .npz archives.

Archives are read member by member through npy.py: never unpickled, and checked before memory is
taken. Not for which arrays make a data set: that is archives.py.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from rpucc.errors import DataError
from rpucc.runtime.data import mapped
from rpucc.runtime.data.npy import (
    MAP_ADVICE,
    MAX_BYTES,
    PICKLE_ADVICE,
    PICKLE_START,
    Array,
    read_npy,
    unreadable,
)

CORRUPT = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,  # an encrypted member
    OverflowError,
)
"""What the standard library raises for damaged, encrypted or unsupported archives."""


def npz_keys(path: Path) -> list[str]:
    """Return the names of the arrays in an .npz file, in stored order; raises DataError."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except OSError as error:
        raise unreadable(path, error) from error
    except CORRUPT as error:
        raise _not_an_archive(path) from error
    return [name.removesuffix(".npy") for name in names if name.endswith(".npy")]


def read_npz(path: Path, keys: Sequence[str]) -> dict[str, Array]:
    """Return the named arrays of an .npz file; together they may have MAX_BYTES.

    Raises DataError for a damaged archive, pickled arrays, and arrays that are not numbers.
    """
    arrays: dict[str, Array] = {}
    key = keys[0]
    try:
        with zipfile.ZipFile(path) as archive:
            members = {key: archive.getinfo(f"{key}.npy") for key in keys}
            total = sum(each.file_size for each in members.values() if not _maps(each))
            if total > MAX_BYTES:
                raise DataError(
                    f"{path} unpacks to {total:,} bytes; the limit is {MAX_BYTES:,}: {MAP_ADVICE} "
                    "(np.savez)"
                )
            for key, member in members.items():
                with archive.open(member) as stream:
                    place = (path, _start(path, member)) if _maps(member) else None
                    where = f"{path}: array {key!r}"
                    arrays[key] = read_npy(stream, member.file_size, where, place)
    except OSError as error:
        raise unreadable(path, error) from error
    except KeyError as error:
        raise DataError(f"{path} has no array {error.args[0]!r}") from error
    except CORRUPT as error:
        raise DataError(
            f"{path}: array {key!r} cannot be unpacked ({one_line(error)}); the file is damaged: "
            "copy or download it again"
        ) from error
    return arrays


def _maps(member: zipfile.ZipInfo) -> bool:
    """Whether a member lies in the archive as it is, and is large; then no checksum is read."""
    return member.compress_type == zipfile.ZIP_STORED and member.file_size >= mapped.LARGE


def _start(path: Path, member: zipfile.ZipInfo) -> int:
    """Return the byte of an archive that a member's content begins at: behind its local header."""
    with path.open("rb") as stream:
        stream.seek(member.header_offset + 26)
        name, extra = struct.unpack("<HH", stream.read(4))
    return member.header_offset + 30 + int(name) + int(extra)


def one_line(error: BaseException) -> str:
    """Return the first line of an exception's text, at most 120 characters."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:120]


def _not_an_archive(path: Path) -> DataError:
    """Return the error for a file that is no zip archive; says more where its start tells more."""
    try:
        with path.open("rb") as stream:
            start = stream.read(4)
    except OSError as error:
        return unreadable(path, error)
    if not start:
        return DataError(f"{path} is empty; expected an .npz archive")
    if start[:1] == PICKLE_START:
        return DataError(f"{path} is a pickle; {PICKLE_ADVICE}")
    if start.startswith(b"PK"):
        return DataError(
            f"{path} is a truncated or damaged .npz archive: copy or download it again"
        )
    return DataError(f"{path} is not an .npz archive; save the arrays with np.savez_compressed")
