"""The header of a .npy stream is believed for no more bytes than a header has."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rpucc
from rpucc.errors import RpuccError
from rpucc.npy_header import LONGEST, npy_header
from rpucc.runtime.data import load_dataset

from ..hostile.networks import network


class Endless:
    """A stream of zeros behind a start."""

    def __init__(self, start: bytes) -> None:
        self.start = io.BytesIO(start)
        self.most = 0

    def read(self, size: int = -1, /) -> bytes:
        self.most = max(self.most, size)
        return self.start.read(size).ljust(size, b"\0")


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_a_header(version: tuple[int, int]) -> None:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.zeros((3, 4), ">f4"), version=version)
    stream.seek(8)
    assert npy_header(stream, version) == ((3, 4), False, np.dtype(">f4"))
    assert stream.read() == bytes(48)


@pytest.mark.parametrize(
    ("version", "start", "message"),
    [
        ((2, 0), struct.pack("<I", 2**32 - 1), "claims 4,294,967,295 bytes of header"),
        ((1, 0), struct.pack("<H", 2**16 - 1), "claims 65,535 bytes of header"),
        ((3, 0), b"", "is of .npy version 3.0"),
        ((9, 9), b"", "is of .npy version 9.9"),
    ],
)
def test_what_is_none(version: tuple[int, int], start: bytes, message: str) -> None:
    stream = Endless(start)
    with pytest.raises(ValueError, match=message):
        npy_header(stream, version)
    assert stream.most <= LONGEST
    with pytest.raises(ValueError, match="is cut off"):
        npy_header(io.BytesIO(b"\1"), (2, 0))


def as_data(path: Path) -> None:
    load_dataset(path)


def as_mask(path: Path) -> None:
    rpucc.compile(network("conv"), "ideal", overrides=[f"update.mask={path}"], verify=False)


@pytest.mark.parametrize(("name", "read"), [("x", as_data), ("c", as_mask)])
def test_an_archive_of_zeros_takes_no_memory(
    name: str, read: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        start = b"\x93NUMPY\2\0" + struct.pack("<I", 2**25 - 10)
        archive.writestr(f"{name}.npy", start + bytes(2**25))
        archive.writestr("y.npy" if name == "x" else "fc.npy", b"\x93NUMPY")
    with pytest.raises(RpuccError):
        read(path)  # what is imported and compiled on the way is not counted
    tracemalloc.start()
    with pytest.raises(RpuccError, match=r"bomb\.npz.*array '.'"):
        read(path)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2**23
