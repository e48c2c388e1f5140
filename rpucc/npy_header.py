"""What the header of a .npy stream says, read without believing how long it claims to be.

NumPy reads as many bytes as a header claims before it looks at them: 4 GB out of a zip archive of
4 MB. Not for the numbers behind it: runtime/data/npy.py.
"""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any, Protocol

import numpy as np

LONGEST = 10_000
"""Bytes of a header: NumPy's own limit."""

Header = tuple[tuple[int, ...], bool, np.dtype[Any]]


_FORMS: dict[tuple[int, ...], tuple[str, Any]] = {
    (1, 0): ("<H", np.lib.format.read_array_header_1_0),
    (2, 0): ("<I", np.lib.format.read_array_header_2_0),
}
"""Version -> how the length of the header is written, and what reads it."""


class Readable(Protocol):
    """What is needed of a file, a zip member or a gzip stream."""

    def read(self, size: int = ..., /) -> bytes:
        """Return up to `size` bytes; none at the end."""


def npy_header(stream: Readable, version: tuple[int, ...]) -> Header:
    """Return shape, whether in Fortran order, and type, from behind the version.

    Raises ValueError for what is no header, of versions other than (1, 0) and (2, 0), too; where
    its text is nonsense also TypeError, SyntaxError, RecursionError and tokenize.TokenError.
    """
    if version not in _FORMS:  # 3.0 exists for structured types with Unicode names only
        found = ".".join(map(str, version))
        raise ValueError(f"is of .npy version {found}; 1.0 and 2.0 can be read")
    form, read = _FORMS[version]
    length = stream.read(struct.calcsize(form))
    if len(length) < struct.calcsize(form):
        raise ValueError("is cut off")
    (size,) = struct.unpack(form, length)
    if size > LONGEST:
        raise ValueError(f"claims {size:,} bytes of header")
    with warnings.catch_warnings():  # old and odd headers warn; the checks of readers suffice
        warnings.simplefilter("ignore")
        shape, fortran, dtype = read(io.BytesIO(length + stream.read(size)))
    return tuple(int(each) for each in shape), bool(fortran), dtype
