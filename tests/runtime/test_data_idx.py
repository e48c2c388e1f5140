from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rpucc.errors import DataError
from rpucc.runtime.data import idx, load_dataset

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
FILES = {
    "train-images-idx3-ubyte": np.arange(10 * 4 * 5, dtype=np.uint8).reshape(10, 4, 5),
    "train-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    "t10k-images-idx3-ubyte": np.arange(4 * 4 * 5, dtype=np.uint8).reshape(4, 4, 5),
    "t10k-labels-idx1-ubyte": np.array([3, 1, 4, 1], np.uint8),
}


def idx_bytes(array: np.ndarray) -> bytes:
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write_folder(folder: Path, *, packed: bool = False, dots: bool = False) -> Path:
    for name, array in FILES.items():
        if dots:
            name = name.replace("-idx", ".idx")
        content = idx_bytes(array)
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)
    return folder


def refused(folder: Path, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(folder)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(folder), *parts):
        assert part in message


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dots", [False, True])
def test_folder(tmp_path: Path, packed: bool, dots: bool) -> None:
    data = load_dataset(write_folder(tmp_path, packed=packed, dots=dots))
    np.testing.assert_array_equal(data.x_train, FILES["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(data.x_test, FILES["t10k-images-idx3-ubyte"])
    assert data.y_train.tolist() == list(range(10))
    assert data.y_test.tolist() == [3, 1, 4, 1]
    assert data.x_train.dtype == np.uint8


def test_the_plain_file_wins(tmp_path: Path) -> None:
    write_folder(tmp_path, dots=True)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    assert load_dataset(tmp_path).sample_shape == (4, 5)


def test_missing_files_are_named(tmp_path: Path) -> None:
    refused(tmp_path, "holds no data set; expected IDX files (train-images-idx3-ubyte, …)")
    write_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").unlink()
    refused(tmp_path, "has no file t10k-labels-idx1-ubyte (or .gz)")


def test_one_idx_file_is_not_enough(tmp_path: Path) -> None:
    write_folder(tmp_path)
    with pytest.raises(DataError, match="is one of four IDX files; name their folder"):
        load_dataset(tmp_path / "train-images-idx3-ubyte")


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    array=st.sampled_from(sorted(CODES)).flatmap(
        lambda code: hnp.arrays(
            np.dtype(code), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)
        )
    ),
    packed=st.booleans(),
)
def test_round_trip(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray, packed: bool
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any-ubyte{'.gz' if packed else ''}"
    content = idx_bytes(array)
    path.write_bytes(gzip.compress(content) if packed else content)
    result = idx.read_idx(path)
    assert result.dtype.newbyteorder("=") == array.dtype
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "not an IDX file: it starts with nothing"),
        (b"PK\3\4" + bytes(50), "not an IDX file: it starts with 50 4b 03 04"),
        (b"\0\0\x07\1" + bytes(50), "not an IDX file"),
        (b"\0\0\x08\0" + bytes(50), "announces 0 axes; expected 1 to 8"),
        (b"\0\0\x08\xff" + bytes(2000), "announces 255 axes"),
        (b"\0\0\x08\3\0\0", "IDX header is truncated"),
        (b"\0\0\x08\3" + b"\xff" * 12 + bytes(50), "but the file holds 50; it is truncated"),
        (b"\0\0\x08\1\x40\0\0\0" + bytes(50), "announces 1,073,741,824 bytes"),
        (b"\0\0\x08\1\0\0\0\x0a" + bytes(9), "holds 9; it is truncated or damaged"),
        (b"\0\0\x08\1\0\0\0\x0a" + bytes(11), "holds 11"),
    ],
)
def test_hostile_files(tmp_path: Path, content: bytes, part: str) -> None:
    write_folder(tmp_path)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    refused(tmp_path, "train-images-idx3-ubyte", part)


def packed_bytes(content: bytes) -> bytes:
    """As gzip, without the time: tests have the same names whenever they are collected."""
    return gzip.compress(content, mtime=0)


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"no gzip", "truncated or damaged gzip file"),
        (packed_bytes(b"\0\0\x08\1\x40\0\0\0" + bytes(50)), "can hold at most"),
        (packed_bytes(b"\0\0\x08\1\xff\xff\xff\xff" + bytes(9 << 20)), "can hold at most"),
        (packed_bytes(b"\0\0\x08\2\xff\xff\xff\xff\xff\xff\xff\xff"), "the limit is"),
        (packed_bytes(b"\0\0\x08\1\0\0\0\x0a" + bytes(9)), "ends after 9 of 10 bytes"),
        (packed_bytes(b"\0\0\x08\1\0\0\0\x0a" + bytes(11)), "more than the 10 bytes"),
        (packed_bytes(idx_bytes(FILES["train-images-idx3-ubyte"]))[:-20], "truncated or damaged"),
    ],
)
def test_hostile_gzip_files(tmp_path: Path, content: bytes, part: str) -> None:
    write_folder(tmp_path, packed=True)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(content)
    refused(tmp_path, "train-images-idx3-ubyte.gz", part)


def test_a_gzip_bomb_takes_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idx, "MAX_BYTES", 1000)
    write_folder(tmp_path, packed=True)
    bomb = gzip.compress(b"\0\0\x08\1" + (1 << 20).to_bytes(4, "big") + bytes(1 << 20))
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(bomb)
    monkeypatch.setattr(idx, "read_exactly", lambda *_: pytest.fail("must not be unpacked"))
    refused(tmp_path, "announces 1,048,576 bytes", "the limit is 1,000")


def test_lengths_that_differ(tmp_path: Path) -> None:
    write_folder(tmp_path)
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(np.zeros(3, np.uint8)))
    refused(tmp_path, "x_test has 4 samples but y_test has 3")
