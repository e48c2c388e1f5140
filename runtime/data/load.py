"""`--data` and the data that Python callers give: from what the user wrote to a data set.

One function that finds out which source is meant; the sources are npz.py, idx.py, named.py and
arrays in memory.
"""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rpucc import arguments
from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Dataset, Samples, as_array
from rpucc.runtime.data.idx import FILE_NAME, load_idx_folder
from rpucc.runtime.data.named import DATASETS, load_named
from rpucc.runtime.data.npy import unreadable
from rpucc.runtime.data.npz import SPLIT_KEYS, WHOLE_KEYS, choose_keys, dataset_of, load_npz

DataSource = str | os.PathLike[str] | tuple[Any, ...] | Mapping[str, Any] | Dataset
"""What a Python caller may give as data; see `load_dataset`."""

SOURCES = (
    "an .npz file, a folder of IDX files, a name (" + ", ".join(DATASETS) + "), arrays (x_train, "
    "y_train, x_test, y_test) or (x, y), a dictionary with these keys, or a Dataset"
)


def load_dataset(
    spec: DataSource,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    inputs: Sequence[str] = (),
) -> Dataset:
    """Return the data set that `spec` names or holds.

    spec: one of
        "mnist-mini"        a name: mnist-mini (built in), mnist, fashion-mnist (downloaded once);
                            a name wins over a file, so write ./mnist for a folder of that name
        "digits.npz"        a file with the arrays x_train, y_train, x_test, y_test, or x and y
        "folder"            with the four IDX files in which MNIST is published
        (x_train, y_train, x_test, y_test), ((x_train, y_train), (x_test, y_test)), (x, y)
                            arrays in memory: what NumPy makes an array of
        {"x": x, "y": y}    the same by name, with the keys of an .npz file
                            for a network with several inputs each x is a dictionary of arrays by
                            the inputs' names: ({"left": l, "right": r}, y)
        a Dataset           is returned as it is
        Of x and y the last tenth of the samples, at least one, is the test part, in stored order.
        `Dataset` says which types and shapes samples and labels may have.
    data_dir: where named data are kept; default $RPUCC_DATA, else the user's cache folder.
    inputs: for a file, the names of a network's inputs where it has several (`Program.inputs`); the
        file has NAME_train and NAME_test of each, y_train and y_test.

    Raises DataError with one line that says what was found and what would help, ArgumentError
    for an argument of another type.

    >>> load_dataset("mnist-mini").x_train.shape
    (6000, 1, 28, 28)
    >>> import numpy as np
    >>> x, y = np.zeros((50, 8)), np.arange(50) % 3
    >>> len(load_dataset((x, y)).x_test), load_dataset({"x": x, "y": y}).classes
    (5, 3)
    """
    if isinstance(spec, Dataset):
        return spec
    if isinstance(spec, tuple | Mapping):
        return _from_arrays(spec)
    if not isinstance(spec, str | os.PathLike):
        raise arguments.wrong("data", spec, SOURCES)
    folder = None if data_dir is None else arguments.path("data_dir", data_dir)
    if isinstance(spec, str) and spec in DATASETS:
        return load_named(spec, folder)
    path = arguments.path("data", spec).expanduser()
    try:
        if path.is_dir():
            return load_idx_folder(path)
        if path.is_file():
            return _load_file(path, inputs)
    except OSError as error:  # a name that is too long for the system, a folder of others
        raise unreadable(path, error) from error
    raise DataError(_not_found(spec))


def is_data_set(found: Mapping[str, Any]) -> bool:
    """Whether a dictionary has the keys of a data set, not those of a network's inputs."""
    return any(set(keys) <= set(found) for keys in (SPLIT_KEYS, WHOLE_KEYS))


def _from_arrays(spec: tuple[Any, ...] | Mapping[str, Any]) -> Dataset:
    """Return the data set of arrays in memory; lists and tensors will do as well."""
    if isinstance(spec, tuple):
        if len(spec) == 2 and all(isinstance(part, tuple) and len(part) == 2 for part in spec):
            spec = (*spec[0], *spec[1])
        names = {len(keys): keys for keys in (SPLIT_KEYS, WHOLE_KEYS)}.get(len(spec))
        if names is None:
            raise arguments.wrong("data", spec, SOURCES)
        spec = dict(zip(names, spec, strict=True))
    keys = choose_keys([str(key) for key in spec], "data: the dictionary")
    return dataset_of("data", {key: _as_arrays(spec[key], f"data: {key}") for key in keys})


def _as_arrays(value: object, where: str) -> Samples:
    """Return an array, or one for each input of a network with several."""
    if isinstance(value, Mapping):
        return {name: as_array(each, f"{where}[{name!r}]") for name, each in value.items()}
    return as_array(value, where)


def _load_file(path: Path, inputs: Sequence[str]) -> Dataset:
    """Return the data set in a file; says what to do when it is no .npz archive."""
    if path.suffix.lower() == ".npz" or zipfile.is_zipfile(path):
        return load_npz(path, inputs=inputs)
    if FILE_NAME.fullmatch(path.name):
        raise DataError(f"{path} is one of four IDX files; name their folder: {path.parent}")
    if path.suffix.lower() == ".npy":
        raise DataError(
            f"{path} is a single array; save x and y together: np.savez_compressed(file, x=x, y=y)"
        )
    raise DataError(
        f"{path} is not a data set; expected an .npz file, a folder of IDX files, or one of the "
        f"names {', '.join(DATASETS)}"
    )


def _not_found(spec: str | os.PathLike[str]) -> str:
    close = difflib.get_close_matches(str(spec).lower(), DATASETS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"data {str(spec)!r} not found: no such file or folder, and no name of a data set; {hint}"
        f"names: {', '.join(DATASETS)}"
    )
