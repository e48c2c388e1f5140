"""Data sets as arrays by name: Keras keys, or x and y, in whichever file holds them.

A kind of file is a row of KINDS: how its names are listed and its arrays read. Not for reading
them: that is npz.py, tensors.py and npy.py.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Dataset, Samples
from rpucc.runtime.data.npy import Array, npy_names, read_npy_folder
from rpucc.runtime.data.npz import npz_keys, read_npz
from rpucc.runtime.data.split import split_tail, tail_start
from rpucc.runtime.data.tensors import read_tensors, tensor_names

SPLIT_KEYS = ("x_train", "y_train", "x_test", "y_test")
WHOLE_KEYS = ("x", "y")


@dataclass(frozen=True)
class Archive:
    """Arrays by name in a file, or in the files of a folder."""

    path: Path
    keys: tuple[str, ...]
    """The names of its arrays, in stored order."""
    reads: Callable[[Path, Sequence[str]], dict[str, Array]]

    def read(self, keys: Sequence[str]) -> dict[str, Array]:
        """Return some of its arrays; raises DataError."""
        return self.reads(self.path, keys)


@dataclass(frozen=True)
class _Kind:
    """What holds arrays by name: how they are listed and read, and how a user makes one."""

    names: Callable[[Path], list[str]]
    read: Callable[[Path, Sequence[str]], dict[str, Array]]
    made: str


KINDS: dict[str, _Kind] = {
    ".npz": _Kind(npz_keys, read_npz, "np.savez"),
    ".safetensors": _Kind(tensor_names, read_tensors, "safetensors.numpy.save_file"),
}
"""Ending of a file's name to what it is."""
FOLDER = _Kind(npy_names, read_npy_folder, "np.save, a file for each array")


def is_archive(path: Path) -> bool:
    """Whether a file is called as one of KINDS, or a folder has .npy files."""
    return bool(npy_names(path)) if path.is_dir() else path.suffix.lower() in KINDS


def open_archive(path: Path) -> Archive:
    """Return what a file or a folder of .npy files holds, none of it read yet; raises DataError.

    A file is an .npz archive unless its name says something else.
    """
    kind = FOLDER if path.is_dir() else KINDS.get(path.suffix.lower(), KINDS[".npz"])
    keys = kind.names(path)
    if not keys:
        raise DataError(f"{path} holds no arrays; save the samples with {kind.made}")
    return Archive(path, tuple(keys), kind.read)


def load_archive(path: Path, name: str | None = None, inputs: Collection[str] = ()) -> Dataset:
    """Return the data set in an archive; `name` is what messages call it (default: the path).

    Keys x_train, y_train, x_test, y_test (as in Keras), or x and y: then the last tenth of the
    samples, at least one, is the test part, in stored order; shuffle before saving if the file is
    sorted by class. inputs: the names of a network's inputs where it has several: then NAME_train
    and NAME_test of each, y_train and y_test. Other keys may be there and are not read. Raises
    DataError.
    """
    name = name or str(path)
    archive = open_archive(path)
    if len(inputs) < 2:
        return dataset_of(name, archive.read(choose_keys(archive.keys, str(path))))
    arrays = archive.read(input_keys(archive.keys, inputs, str(path)))
    parts: dict[str, Samples] = {}
    for part in ("train", "test"):
        parts[f"x_{part}"] = {each: arrays[f"{each}_{part}"] for each in inputs}
        parts[f"y_{part}"] = arrays[f"y_{part}"]
    return dataset_of(name, parts)


def choose_keys(found: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the keys that make a data set of those that are there; DataError where none do."""
    for keys in (SPLIT_KEYS, WHOLE_KEYS):
        if set(keys) <= set(found):
            return keys
    raise DataError(
        f"{where} holds the arrays {list_keys(found)}; expected {', '.join(SPLIT_KEYS)}, or x and y"
    )


def input_keys(found: Sequence[str], inputs: Collection[str], where: str) -> tuple[str, ...]:
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


def part_of(archive: Archive, inputs: Collection[str] = ()) -> Part:
    """Return the test part of a data set in an archive; else its array x, else its first array.

    The parts of a data set are those of `load_archive`. inputs: the names of a network's inputs
    where it has several; then the arrays NAME_test, else those of the very names, with y as their
    labels. Raises DataError where an input has no array.
    """
    keys = archive.keys
    if len(inputs) > 1:
        return _part_by_input(keys, inputs, archive.path)
    if "x_test" in keys:
        return Part(("x_test",), _if_there("y_test", keys), 0, "its test part, x_test")
    if set(WHOLE_KEYS) <= set(keys):
        found = archive.read(WHOLE_KEYS)
        if found["x"].ndim and found["y"].ndim and 2 <= len(found["x"]) == len(found["y"]):
            first = tail_start(len(found["x"]))
            return Part(("x",), "y", first, "its test part, the last tenth of x")
    key = "x" if "x" in keys else keys[0]
    return Part((key,), None, 0, f"its array {key}")


def _part_by_input(keys: Sequence[str], inputs: Collection[str], path: Path) -> Part:
    for ending, labels in (("_test", "y_test"), ("", "y")):
        wanted = tuple(f"{name}{ending}" for name in inputs)
        if set(wanted) <= set(keys):
            part = "its test part" if ending else "its arrays"
            return Part(wanted, _if_there(labels, keys), 0, f"{part}, {', '.join(wanted)}")
    raise DataError(
        f"{path} holds the arrays {list_keys(keys)}; the model has the inputs {', '.join(inputs)}: "
        "expected an array for each, of its name or its name with _test"
    )


def _if_there(key: str, keys: Sequence[str]) -> str | None:
    return key if key in keys else None


def load_labels(archive: Archive, part: Part) -> Array | None:
    """Return the labels of the samples that `part_of` takes; None where there are none."""
    return None if part.y is None else part.of(archive.read((part.y,))[part.y])


def list_keys(keys: Sequence[str]) -> str:
    """Return at most eight names as text; odd characters are escaped."""
    shown = ", ".join(ascii(key[:40]) for key in keys[:8])
    return (shown or "(none)") + (f" and {len(keys) - 8} more" if len(keys) > 8 else "")
