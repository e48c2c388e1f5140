"""CIFAR-10 and CIFAR-100: their binary files, as a folder and packed, and what is refused."""

from __future__ import annotations

import gzip
import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data import load_dataset, load_inputs, named
from rpucc.runtime.data.cifar import CIFARS, MOST

RNG = np.random.default_rng(0)
NAMES = {
    "cifar-10": [
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    ],
    "cifar-100": [f"class_{i:02}" for i in range(100)],
}


def records(name: str, n: int = 3) -> tuple[bytes, np.ndarray, np.ndarray]:
    """A file, and the pixels and labels in it."""
    kind = CIFARS[name]
    x = RNG.integers(0, 256, (n, 3, 32, 32), np.uint8)
    y = RNG.integers(0, kind.classes, (n, 1), np.uint8)
    coarse = np.full((n, kind.labels - 1), 255, np.uint8)  # no label of any kind
    return np.hstack([coarse, y, x.reshape(n, -1)]).tobytes(), x, y[:, 0]


def files(name: str) -> tuple[dict[str, bytes], list[np.ndarray]]:
    """The files of a data set by name, and x_train, y_train, x_test, y_test."""
    kind = CIFARS[name]
    made = {file: records(name, 3 + i) for i, file in enumerate(kind.files)}
    content = {file: data for file, (data, _, _) in made.items()}
    content[kind.names] = ("\n".join(NAMES[name]) + "\n\n").encode()
    content["readme.html"] = b"<html>" * 200
    train = [np.concatenate([made[file][i] for file in kind.train]) for i in (1, 2)]
    return content, [*train, *made[kind.test][1:]]


def packed(content: dict[str, bytes], folder: str, form: int = tarfile.USTAR_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=form) as archive:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for name, data in content.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def write(folder: Path, content: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / name).write_bytes(data)
    return folder


def check(data, name: str, arrays: list[np.ndarray]) -> None:
    found = (data.x_train, data.y_train, data.x_test, data.y_test)
    for array, expected in zip(found, arrays, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert data.x_train.dtype == np.uint8
    assert data.y_train.dtype == np.int64
    assert data.class_names == tuple(NAMES[name])


@pytest.mark.parametrize("name", CIFARS)
@pytest.mark.parametrize("where", ["name", "folder", "below", "packed"])
def test_a_name_finds_what_was_put_there(tmp_path, monkeypatch, name, where):
    monkeypatch.setattr(named, "_download", lambda *_: pytest.fail("must not download"))
    content, arrays = files(name)
    kind = CIFARS[name]
    if where == "packed":
        (tmp_path / kind.packed).write_bytes(packed(content, kind.folder))
    else:
        below = {"name": name, "folder": kind.folder, "below": f"{name}/{kind.folder}"}[where]
        write(tmp_path / below, content)
    check(load_dataset(name, tmp_path), name, arrays)


@pytest.mark.parametrize("name", CIFARS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_paths_and_archives_of_any_name_are_taken(tmp_path, name, form):
    content, arrays = files(name)
    folder = write(tmp_path / "mine", content)
    check(load_dataset(folder), name, arrays)
    (tmp_path / "any.tgz").write_bytes(packed(content, "x" * 60, form))
    check(load_dataset(tmp_path / "any.tgz"), name, arrays)
    np.testing.assert_allclose(
        load_inputs(tmp_path / "any.tgz", (3, 32, 32), (0.0, 1.0)), arrays[2] / 255, atol=1e-6
    )
    (folder / CIFARS[name].names).unlink()
    assert load_dataset(folder).class_names == ()


def test_a_name_takes_no_files_of_the_other_one(tmp_path, monkeypatch):
    monkeypatch.setattr(named, "_download", lambda *_: None)
    write(tmp_path / "cifar-10", files("cifar-100")[0])
    with pytest.raises(DataError, match="have vanished"):
        load_dataset("cifar-10", tmp_path)
    (tmp_path / "cifar-10-binary.tar.gz").write_bytes(packed(files("cifar-100")[0], "x"))
    with pytest.raises(DataError, match="no files of CIFAR's binary version; expected cifar-10-b"):
        load_dataset("cifar-10", tmp_path)


def damaged(content: dict[str, bytes], name: str, data: bytes | None) -> dict[str, bytes]:
    changed = content | ({} if data is None else {name: data})
    return {key: value for key, value in changed.items() if data is not None or key != name}


@pytest.mark.parametrize("in_archive", [False, True])
@pytest.mark.parametrize(
    ("file", "data", "said"),
    [
        ("test_batch.bin", None, "has no file test_batch.bin; cifar-10 is data_batch_1.bin, "),
        ("data_batch_3.bin", None, "in cifar-10-binary.tar.gz from https://www.cs.toronto.edu"),
        ("test_batch.bin", b"", "test_batch.bin has 0 bytes; a file of cifar-10 is some records"),
        ("data_batch_2.bin", b"\0" * 3074, "has 3,074 bytes; a file of cifar-10 is some records"),
        ("data_batch_2.bin", b"\x0b" * 3073, "record 0 has the label 11; those of cifar-10 are 0"),
        ("batches.meta.txt", b"a b c", "has 3 names; cifar-10 has 10 classes"),
        ("batches.meta.txt", b"a " * 10, "has 1 names; cifar-10 has 10 classes"),
    ],
)
def test_missing_and_damaged_files_are_named_in_a_line(tmp_path, in_archive, file, data, said):
    content = damaged(files("cifar-10")[0], file, data)
    if in_archive:
        (tmp_path / "cifar-10-binary.tar.gz").write_bytes(packed(content, "cifar-10-batches-bin"))
    else:
        write(tmp_path / "cifar-10", content)
    with pytest.raises(DataError) as caught:
        load_dataset("cifar-10", tmp_path)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_damaged_archives(tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    whole = packed(files("cifar-10")[0], "x")
    plain = gzip.decompress(whole)
    huge = bytearray(plain[:1024])
    huge[512 + 124 : 512 + 135] = b"77777777777"
    cases = [
        (b"", "holds no files"),
        (b"hello", "is a truncated or damaged gzip file"),
        (whole[: len(whole) // 2], "is a truncated or damaged gzip file"),
        (gzip.compress(b"hello" * 300), "is no tar archive, or a damaged one"),
        (gzip.compress(b"hello"), "is no tar archive, or a damaged one"),
        (gzip.compress(plain[:2000]), "ends within data_batch_1.bin"),
        (gzip.compress(bytes(huge)), f"unpacks to more than {MOST:,} bytes"),
    ]
    for data, said in cases:
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            load_dataset(path)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)


def test_links_and_folders_that_are_called_as_files_are_none(tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        link = tarfile.TarInfo("test_batch.bin")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    (tmp_path / "a.tar.gz").write_bytes(stream.getvalue())
    with pytest.raises(DataError, match="holds no files of CIFAR"):
        load_dataset(tmp_path / "a.tar.gz")


def test_pickles_and_single_files_are_refused_with_the_way_out(tmp_path):
    python = write(tmp_path / "cifar-10-batches-py", {"data_batch_1": b"\x80", "batches.meta": b""})
    with pytest.raises(DataError, match=r"pickles, which rpucc never opens; take .*-binary\.tar"):
        load_dataset(python)
    folder = write(tmp_path / "bin", files("cifar-100")[0])
    with pytest.raises(DataError, match=r"is one of CIFAR's files; name their folder: .*bin"):
        load_dataset(folder / "train.bin")
