"""Data sets in NumPy's .npz archives: Keras keys, or x and y.

Archives are read member by member through npy.py: never unpickled, and checked before memory is
taken. Not for a single .npy array as input to `rpucc run`: that is images.py.
"""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Dataset, Samples, named
from rpucc.runtime.data.npy import (
    MAX_BYTES,
    PICKLE_ADVICE,
    PICKLE_START,
    Array,
    read_npy,
    unreadable,
)

SPLIT_KEYS = ("x_train", "y_train", "x_test", "y_test")
WHOLE_KEYS = ("x", "y")

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


def load_npz(path: Path, name: str | None = None, inputs: Sequence[str] = ()) -> Dataset:
    """Return the data set in an .npz file; `name` is what messages call it (default: the path).

    Keys x_train, y_train, x_test, y_test (as in Keras), or x and y: then the last tenth of the
    samples, at least one, is the test part, in stored order; shuffle before saving if the file is
    sorted by class. inputs: the names of a network's inputs where it has several: then NAME_train
    and NAME_test of each, y_train and y_test. Other keys may be there and are not read. Raises
    DataError.
    """
    name = name or str(path)
    found = npz_keys(path)
    if len(inputs) < 2:
        return dataset_of(name, read_npz(path, choose_keys(found, str(path))))
    arrays = read_npz(path, input_keys(found, inputs, str(path)))
    parts: dict[str, Samples] = {}
    for part in ("train", "test"):
        parts[f"x_{part}"] = {each: arrays[f"{each}_{part}"] for each in inputs}
        parts[f"y_{part}"] = arrays[f"y_{part}"]
    return dataset_of(name, parts)


def choose_keys(found: list[str], where: str) -> tuple[str, ...]:
    """Return the keys that make a data set of those that are there; DataError where none do."""
    for keys in (SPLIT_KEYS, WHOLE_KEYS):
        if set(keys) <= set(found):
            return keys
    raise DataError(
        f"{where} holds the arrays {list_keys(found)}; expected {', '.join(SPLIT_KEYS)}, or x and y"
    )


def input_keys(found: list[str], inputs: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the keys of a data set for a network with several inputs; DataError if one lacks.

    >>> input_keys(["a_train", "b_train", "y_train", "a_test", "b_test", "y_test"], "ab", "f.npz")
    ('a_train', 'b_train', 'y_train', 'a_test', 'b_test', 'y_test')
    """
    keys = tuple(f"{name}_{part}" for part in ("train", "test") for name in (*inputs, "y"))
    if not set(keys) <= set(found):
        raise DataError(
            f"{where} holds the arrays {list_keys(found)}; the model has the inputs "
            f"{', '.join(inputs)}: expected {', '.join(keys)}"
        )
    return keys


def dataset_of(name: str, parts: Mapping[str, Any]) -> Dataset:
    """Return the data set of arrays with the keys that `choose_keys` gives; raises DataError."""
    if set(parts) == set(SPLIT_KEYS):
        return Dataset(name, *(parts[key] for key in SPLIT_KEYS))
    return split_tail(name, parts["x"], parts["y"])


@dataclass(frozen=True)
class Part:
    """The samples of an archive that inference takes, and what they are."""

    x: tuple[str, ...]
    """The array of samples; of a network with several inputs one for each."""
    y: str | None
    """The array of their labels; None where there is none."""
    first: int
    """The first row that is taken."""
    text: str
    """What a message calls it."""

    def of(self, array: Array) -> Array:
        """Return the rows of one of its arrays."""
        return array[self.first :] if self.first else array


def npz_part(path: Path, inputs: Sequence[str] = ()) -> Part:
    """Return the test part of a data set in an .npz file; else its array x, else its first array.

    The parts of a data set are those of `load_npz`. inputs: the names of a network's inputs where
    it has several; then the arrays NAME_test, else those of the very names, with y as their labels.
    Raises DataError for what is no archive, and where an input has no array.
    """
    keys = npz_keys(path)
    if not keys:
        raise DataError(f"{path} holds no arrays; save the samples with np.savez")
    if len(inputs) > 1:
        return _part_by_input(keys, inputs, path)
    if "x_test" in keys:
        return Part(("x_test",), _if_there("y_test", keys), 0, "its test part, x_test")
    if set(WHOLE_KEYS) <= set(keys):
        found = read_npz(path, WHOLE_KEYS)
        if found["x"].ndim and found["y"].ndim and 2 <= len(found["x"]) == len(found["y"]):
            first = tail_start(len(found["x"]))
            return Part(("x",), "y", first, "its test part, the last tenth of x")
    key = "x" if "x" in keys else keys[0]
    return Part((key,), None, 0, f"its array {key}")


def _part_by_input(keys: list[str], inputs: Sequence[str], path: Path) -> Part:
    for ending, labels in (("_test", "y_test"), ("", "y")):
        wanted = tuple(f"{name}{ending}" for name in inputs)
        if set(wanted) <= set(keys):
            part = "its test part" if ending else "its arrays"
            return Part(wanted, _if_there(labels, keys), 0, f"{part}, {', '.join(wanted)}")
    raise DataError(
        f"{path} holds the arrays {list_keys(keys)}; the model has the inputs {', '.join(inputs)}: "
        "expected an array for each, of its name or its name with _test"
    )


def _if_there(key: str, keys: list[str]) -> str | None:
    return key if key in keys else None


def load_labels(path: Path, part: Part) -> Array | None:
    """Return the labels of the samples that `npz_part` takes; None where there are none."""
    return None if part.y is None else part.of(read_npz(path, (part.y,))[part.y])


def tail_start(samples: int) -> int:
    """Return where the test part of an undivided data set begins: at its last tenth."""
    return samples - max(1, samples // 10)


def split_tail(name: str, x: Samples, y: Array) -> Dataset:
    """Return x, y as a data set whose test part is the last tenth, at least one sample."""
    for what, each in named(x, "x").items():
        if each.ndim == 0 or y.ndim == 0 or len(each) != len(y) or len(y) < 2:
            raise DataError(
                f"{name}: {what} has shape {list(each.shape)} and y {list(y.shape)}; they need "
                "equal lengths of at least 2 (the last tenth becomes the test part)"
            )
    cut = tail_start(len(y))
    head, tail = (_sliced(x, part) for part in (slice(cut), slice(cut, None)))
    return Dataset(name, head, y[:cut], tail, y[cut:])


def _sliced(x: Samples, part: slice) -> Samples:
    """Return some of the samples, of every input."""
    return {name: each[part] for name, each in x.items()} if isinstance(x, Mapping) else x[part]


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


def read_npz(path: Path, keys: tuple[str, ...]) -> dict[str, Array]:
    """Return the named arrays of an .npz file; together they may have MAX_BYTES.

    Raises DataError for a damaged archive, pickled arrays, and arrays that are not numbers.
    """
    arrays: dict[str, Array] = {}
    key = keys[0]
    try:
        with zipfile.ZipFile(path) as archive:
            members = {key: archive.getinfo(f"{key}.npy") for key in keys}
            total = sum(member.file_size for member in members.values())
            if total > MAX_BYTES:
                raise DataError(
                    f"{path} unpacks to {total:,} bytes; the limit is {MAX_BYTES:,}: "
                    "use a smaller part of the data"
                )
            for key, member in members.items():
                with archive.open(member) as stream:
                    arrays[key] = read_npy(stream, member.file_size, f"{path}: array {key!r}")
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


def list_keys(keys: list[str]) -> str:
    """Return at most eight names as text; odd characters are escaped."""
    shown = ", ".join(ascii(key[:40]) for key in keys[:8])
    return (shown or "(none)") + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")


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
