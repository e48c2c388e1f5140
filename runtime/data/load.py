"""`--data` and the data that Python callers give: from what the user wrote to a data set.

One function that finds out which source is meant; the sources are archives.py (arrays by name),
idx.py, cifar.py, image_folder.py, tables.py, named.py and arrays in memory.
"""

from __future__ import annotations

import difflib
import os
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from rpucc import arguments
from rpucc.errors import DataError
from rpucc.runtime.data.archives import (
    SPLIT_KEYS,
    WHOLE_KEYS,
    choose_keys,
    dataset_of,
    is_archive,
    load_archive,
)
from rpucc.runtime.data.cifar import (
    CIFARS,
    cifar_folder,
    holds_pickles,
    is_cifar_archive,
    load_cifar_archive,
    load_cifar_folder,
)
from rpucc.runtime.data.dataset import Dataset, Samples, as_array
from rpucc.runtime.data.idx import FILE_NAME, find_idx_files, load_idx_folder
from rpucc.runtime.data.image_folder import HINT, holds_classes, holds_images, load_image_folder
from rpucc.runtime.data.images import is_image
from rpucc.runtime.data.named import DATASETS, load_named
from rpucc.runtime.data.npy import unreadable
from rpucc.runtime.data.streams import Source, collected, is_stream
from rpucc.runtime.data.tables import READERS, load_table, table_files

DataSource = str | os.PathLike[str] | tuple[Any, ...] | Mapping[str, Any] | Dataset | Source
"""What a Python caller may give as data; see `load_dataset`."""

FILES = (
    "an .npz, .safetensors, .csv or .parquet file, a folder of images by class, of IDX, CIFAR, "
    ".npy or table files"
)
SOURCES = (
    f"{FILES}, a name (" + ", ".join(DATASETS) + "), arrays (x_train, "
    "y_train, x_test, y_test) or (x, y), a dictionary with these keys, batches, or a Dataset"
)


def load_dataset(
    spec: DataSource,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    inputs: Collection[str] = (),
) -> Dataset:
    """Return the data set that `spec` names or holds.

    spec: one of
        "mnist-mini"        a name: mnist-mini (built in), mnist, fashion-mnist, cifar-10, cifar-100
                            (downloaded once); a name wins over a file, so write ./mnist for a
                            folder of that name
        "digits.npz"        a file with the arrays x_train, y_train, x_test, y_test, or x and y;
                            a .safetensors file or a folder of .npy files in the same way
        "folder"            with the four IDX files in which MNIST is published, or with the files
                            of CIFAR's binary version (or their archive, a .tar.gz file)
        "photos"            a folder with PNG and JPEG files in train/CLASS and test/CLASS, or in
                            CLASS; "photos:32x32" resizes them, width first
        "iris.csv:species"  a table (.csv, .tsv, .parquet) and the column of its labels, or the
                            folder of the tables train and test; without the colon "label"
        (x_train, y_train, x_test, y_test), ((x_train, y_train), (x_test, y_test)), (x, y)
                            arrays in memory: what NumPy makes an array of
        {"x": x, "y": y}    the same by name, with the keys of an .npz file
                            for a network with several inputs each x is a dictionary of arrays by
                            the inputs' names: ({"left": l, "right": r}, y)
        (batches, test batches), or batches
                            each a PyTorch DataLoader, an iterator of (x, y) or a function that
                            makes one: read into arrays, up to 4 GB, in the order in which they come
        a Dataset           is returned as it is
        Of x and y the last tenth of the samples, at least one, is the test part, in stored order;
        of images and tables the last tenth of each class.
        `Dataset` says which types and shapes samples and labels may have. Arrays of a gigabyte or
        more in .npy, .npz (not compressed), .safetensors and IDX files stay there, mapped.
    data_dir: where named data are kept; default $RPUCC_DATA, else the user's cache folder.
    inputs: for a file, the names of a network's inputs where it has several (`Program.inputs`); the
        file has NAME_train and NAME_test of each, y_train and y_test. A dictionary, name to the
        shape of a sample, says also whether images are read in grey or RGB.

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
    if is_stream(spec):
        spec = collected(spec, "data")
    if isinstance(spec, tuple) and len(spec) == 2 and any(map(is_stream, spec)):
        parts = zip(spec, ("the training part", "the test part"), strict=True)
        spec = tuple(collected(each, name) if is_stream(each) else each for each, name in parts)
    if isinstance(spec, tuple | Mapping):
        return _from_arrays(spec)
    if not isinstance(spec, str | os.PathLike):
        raise arguments.wrong("data", spec, SOURCES)
    folder = None if data_dir is None else arguments.path("data_dir", data_dir)
    if isinstance(spec, str) and spec in DATASETS:
        return load_named(spec, folder)
    path, detail = located(arguments.path("data", spec))
    try:
        if path.is_dir():
            return _load_folder(path, detail, inputs)
        if path.is_file():
            return _load_file(path, detail, inputs)
    except OSError as error:  # a name that is too long for the system, a folder of others
        raise unreadable(path, error) from error
    raise DataError(_not_found(spec))


def located(spec: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the file or folder that is meant, and what stands behind its last colon, if anything.

    What is there under its whole name is that; so a name may hold colons.
    """
    path = Path(spec).expanduser()
    head, colon, detail = str(path).rpartition(":")
    if colon and head and not os.path.exists(path) and os.path.exists(head):
        return Path(head), detail
    return path, ""


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


def _load_folder(path: Path, detail: str, inputs: Collection[str]) -> Dataset:
    """Return the data set in a folder, by the files that are in it."""
    if table_files(path) is not None:
        return load_table(path, detail)
    images = holds_classes(path)
    if detail and not images:
        raise _no_detail(path, detail)
    if images:
        shape = next(iter(inputs.values())) if isinstance(inputs, Mapping) else ()
        return load_image_folder(path, resize=detail, shape=shape)
    if find_idx_files(path):
        return load_idx_folder(path)
    if cifar_folder(path):
        return load_cifar_folder(path)
    if holds_pickles(path):
        packed = " or ".join(kind.packed for kind in CIFARS.values())
        raise DataError(
            f"{path} is a Python version of CIFAR, pickles, which rpucc never opens; take the "
            f"binary version, {packed}"
        )
    if is_archive(path):
        return load_archive(path, inputs=inputs)
    if holds_images(path):
        raise DataError(f"{path}: its images lie in no folder of a class; expected {HINT}")
    raise DataError(
        f"{path} holds no data set; expected IDX files (train-images-idx3-ubyte, …), images as "
        f"{HINT}, tables train.csv and test.csv, or {', '.join(f'{key}.npy' for key in SPLIT_KEYS)}"
    )


def _load_file(path: Path, detail: str, inputs: Collection[str]) -> Dataset:
    """Return the data set in a file; says what to do when it is none."""
    kind = path.suffix.lower()
    if kind in READERS:
        return load_table(path, detail)
    if detail:
        raise _no_detail(path, detail)
    if is_archive(path) or zipfile.is_zipfile(path):
        return load_archive(path, inputs=inputs)
    if is_cifar_archive(path):
        return load_cifar_archive(path)
    if path.suffix == ".bin" and cifar_folder(path.parent):
        raise DataError(f"{path} is one of CIFAR's files; name their folder: {path.parent}")
    if FILE_NAME.fullmatch(path.name):
        raise DataError(f"{path} is one of four IDX files; name their folder: {path.parent}")
    if kind == ".npy":
        raise DataError(
            f"{path} is a single array; save x and y together: np.savez_compressed(file, x=x, y=y),"
            " or name a folder of x.npy and y.npy"
        )
    if is_image(path):
        raise DataError(f"{path} is a single image; name the folder of images: {HINT}")
    raise DataError(
        f"{path} is not a data set; expected {FILES}, or one of the names {', '.join(DATASETS)}"
    )


def _no_detail(path: Path, detail: str) -> DataError:
    return DataError(
        f"{path}:{detail}: a colon names the column of a table's labels or the size of a folder's "
        f"images, and {path.name} is neither"
    )


def _not_found(spec: str | os.PathLike[str]) -> str:
    close = difflib.get_close_matches(str(spec).lower(), DATASETS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"data {str(spec)!r} not found: no such file or folder, and no name of a data set; {hint}"
        f"names: {', '.join(DATASETS)}"
    )
