"""CIFAR-10 and CIFAR-100 in their binary version: a folder of .bin files, or the archive of them.

A record is a label (CIFAR-100: the coarse one, then the fine one) and 3,072 pixels, each a byte: 32
× 32 of red, then of green and of blue (A. Krizhevsky, cs.toronto.edu/~kriz/cifar.html). Not for the
Python version: that is a pickle, which rpucc does not open.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.data.npy import CHUNK, Array, Stream, unreadable
from rpucc.runtime.data.packed import reading_gzip

IMAGE = (3, 32, 32)
PIXELS = 3 * 32 * 32
PACKED = "-binary.tar.gz"
ADDRESS = "https://www.cs.toronto.edu/~kriz/"

MOST = 1 << 30
"""Bytes that are unpacked of an archive; the published ones have 0.2e9."""
MOST_NAMES = 1 << 16
"""Bytes of a file of class names; those published have a thousand."""
BLOCK = 512
"""Bytes of a tar archive's header, of which everything in it is a multiple."""


@dataclass(frozen=True)
class Cifar:
    """One of the two data sets: what its files are called and what a record begins with."""

    name: str
    folder: str
    """What the archive calls the folder of its files."""
    train: tuple[str, ...]
    test: str
    labels: int
    """Bytes before the pixels; the last one is the label that counts."""
    classes: int
    names: str
    """The file of class names, a line each; it need not be there."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that have to be there."""
        return (*self.train, self.test)

    @property
    def packed(self) -> str:
        """What the archive is called."""
        return self.name + PACKED


CIFARS: dict[str, Cifar] = {
    kind.name: kind
    for kind in (
        Cifar(
            "cifar-10",
            "cifar-10-batches-bin",
            tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
            "test_batch.bin",
            1,
            10,
            "batches.meta.txt",
        ),
        Cifar(
            "cifar-100",
            "cifar-100-binary",
            ("train.bin",),
            "test.bin",
            2,
            100,
            "fine_label_names.txt",
        ),
    )
}
ALL = tuple(CIFARS.values())


def found_cifar(name: str, folder: Path) -> Dataset | None:
    """Return the data set called `name` where a data folder has it: its archive, or its files.

    The files lie in a folder of the data set's name, or of the name that the archive gives it.
    Raises DataError for damaged ones, and where some are missing.
    """
    kind = CIFARS[name]
    if (folder / kind.packed).is_file():
        return load_cifar_archive(folder / kind.packed, (kind,))
    for place in (folder / name, folder / kind.folder):
        if cifar_folder(place, (kind,)):
            return load_cifar_folder(place, (kind,))
    return None


def cifar_folder(folder: Path, kinds: Iterable[Cifar] = ALL) -> tuple[Cifar, Path] | None:
    """Return which data set a folder has files of, and where: there or one below; else None."""
    for kind in kinds:
        for place in (folder, folder / kind.folder):
            if any((place / file).is_file() for file in kind.files):
                return kind, place
    return None


def holds_pickles(folder: Path) -> bool:
    """Whether a folder has the files of a Python version of CIFAR."""
    names = [kind.train[0].removesuffix(".bin") for kind in ALL]
    names += [kind.test.removesuffix(".bin") for kind in ALL]
    meta = any((folder / name).is_file() for name in ("batches.meta", "meta"))
    return meta and any((folder / name).is_file() for name in names)


def is_cifar_archive(path: Path) -> bool:
    """Whether a file is called as an archive of the binary version is."""
    return path.name.endswith((".tar.gz", ".tgz"))


def load_cifar_folder(folder: Path, kinds: Iterable[Cifar] = ALL) -> Dataset:
    """Return the data set in a folder that `cifar_folder` knows; raises DataError."""
    found = cifar_folder(folder, kinds)
    assert found is not None
    kind, place = found

    def content(name: str, most: int) -> bytes | None:
        path = place / name
        try:
            if not path.is_file():
                return None
            if path.stat().st_size > most:
                raise DataError(f"{path} has more than {most:,} bytes: no file of {kind.name}")
            return path.read_bytes()
        except OSError as error:
            raise unreadable(path, error) from error

    return _dataset(kind, str(place), content)


def load_cifar_archive(path: Path, kinds: Collection[Cifar] = ALL) -> Dataset:
    """Return the data set, one of `kinds`, in an archive (.tar.gz); raises DataError.

    Nothing is unpacked to the disk, and nothing but the files of the data set kept.
    """
    known = {name for kind in kinds for name in (*kind.files, kind.names)}
    with reading_gzip(path), gzip.open(path) as stream:
        members = _members(stream, known, str(path))
    for kind in kinds:
        if any(name in members for name in kind.files):
            return _dataset(kind, str(path), lambda name, most: members.get(name))
    packed = " or ".join(kind.packed for kind in kinds)
    raise DataError(f"{path} holds no files of CIFAR's binary version; expected {packed}")


def _members(stream: Stream, known: set[str], where: str) -> dict[str, bytes]:
    """Return the files of a tar archive that are called as known, by the end of their path."""
    found: dict[str, bytes] = {}
    read = 0
    while True:
        header = stream.read(BLOCK)
        read += len(header)
        if not header.strip(b"\0"):  # the end of the archive, or of the file
            return found
        digits = header[124:136].strip(b" \0")
        if len(header) < BLOCK or header[257:262] != b"ustar" or not _is_octal(digits):
            raise DataError(f"{where} is no tar archive, or a damaged one: download it again")
        size = int(digits or b"0", 8)
        read += -(-size // BLOCK) * BLOCK
        if read > MOST:
            raise DataError(f"{where} unpacks to more than {MOST:,} bytes: it is no CIFAR archive")
        name = header[:100].partition(b"\0")[0].decode("utf-8", "replace").rpartition("/")[2]
        content = _taken(stream, -(-size // BLOCK) * BLOCK, name in known and size)
        if name in known and header[156:157] in (b"0", b"\0"):
            if len(content) < size:
                raise DataError(f"{where} ends within {name}: download it again")
            found[name] = content


def _is_octal(digits: bytes) -> bool:
    return all(digit in b"01234567" for digit in digits)


def _taken(stream: Stream, size: int, keep: int) -> bytes:
    """Read `size` bytes of a stream, fewer where it ends, and return the first `keep` of them."""
    kept = bytearray()
    while size > 0:
        chunk = stream.read(min(size, CHUNK))
        if not chunk:
            break
        size -= len(chunk)
        kept += chunk[: max(keep - len(kept), 0)]
    return bytes(kept)


def _dataset(kind: Cifar, where: str, content: Callable[[str, int], bytes | None]) -> Dataset:
    """Return a data set of files; content: a file's name and the most bytes -> what it holds."""
    files = {name: content(name, MOST) for name in kind.files}
    missing = [name for name, data in files.items() if data is None]
    if missing:
        raise DataError(
            f"{where} has no file {' and no '.join(missing)}; {kind.name} is "
            f"{', '.join(kind.files)}, in {kind.packed} from {ADDRESS}"
        )
    parts: Mapping[str, tuple[Array, Array]] = {
        name: _records(kind, data or b"", f"{where}: {name}") for name, data in files.items()
    }
    x_train, y_train = (np.concatenate([parts[name][i] for name in kind.train]) for i in (0, 1))
    names = _names(kind, content(kind.names, MOST_NAMES), f"{where}: {kind.names}")
    return Dataset(where, x_train, y_train, *parts[kind.test], class_names=names)


def _records(kind: Cifar, data: bytes, where: str) -> tuple[Array, Array]:
    """Return the pixels [n, 3, 32, 32] and the labels [n] of a file; raises DataError."""
    record = kind.labels + PIXELS
    if not data or len(data) % record:
        raise DataError(
            f"{where} has {len(data):,} bytes; a file of {kind.name} is some records of "
            f"{record:,}: download it again"
        )
    rows = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = rows[:, kind.labels - 1]
    if int(labels.max()) >= kind.classes:
        first = int(np.argmax(labels >= kind.classes))
        raise DataError(
            f"{where}: record {first} has the label {labels[first]}; those of {kind.name} are 0 to "
            f"{kind.classes - 1}: the file is damaged or another data set's"
        )
    return rows[:, kind.labels :].reshape(-1, *IMAGE), labels.astype(np.int64)


def _names(kind: Cifar, data: bytes | None, where: str) -> tuple[str, ...]:
    """Return the names of the classes, none where their file is not there; raises DataError."""
    if data is None:
        return ()
    names = tuple(data[:MOST_NAMES].decode("utf-8", "replace").split())
    if len(names) != kind.classes or len(set(names)) != kind.classes:
        raise DataError(
            f"{where} has {len(set(names))} names; {kind.name} has {kind.classes} classes: "
            "download it again, or remove the file"
        )
    return names
