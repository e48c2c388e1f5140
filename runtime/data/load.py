"""`--data`: from what the user wrote to a data set.

One function that finds out which source is meant; the sources are npz.py, idx.py and named.py.
"""

from __future__ import annotations

import difflib
import zipfile
from pathlib import Path

from rpucc.errors import DataError
from rpucc.runtime.data.dataset import Dataset
from rpucc.runtime.data.idx import FILE_NAME, load_idx_folder
from rpucc.runtime.data.named import DATASETS, load_named
from rpucc.runtime.data.npy import unreadable
from rpucc.runtime.data.npz import load_npz


def load_dataset(spec: str | Path, data_dir: Path | None = None) -> Dataset:
    """Return the data set that `spec` names.

    spec: an .npz file (keys x_train, y_train, x_test, y_test, or x and y), a folder of IDX files,
    or a name of DATASETS (a string; names win over files, so write ./mnist for a folder).
    data_dir: where named data are kept; default $RPUCC_DATA, else the user's cache folder.
    Raises DataError with one line that says what was found and what would help.

    >>> load_dataset("mnist-mini").x_train.shape
    (6000, 1, 28, 28)
    """
    if isinstance(spec, str) and spec in DATASETS:
        return load_named(spec, data_dir)
    path = Path(spec).expanduser()
    try:
        if path.is_dir():
            return load_idx_folder(path)
        if path.is_file():
            return _load_file(path)
    except OSError as error:  # a name that is too long for the system, a folder of others
        raise unreadable(path, error) from error
    raise DataError(_not_found(spec))


def _load_file(path: Path) -> Dataset:
    """Return the data set in a file; says what to do when it is no .npz archive."""
    if path.suffix.lower() == ".npz" or zipfile.is_zipfile(path):
        return load_npz(path)
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


def _not_found(spec: str | Path) -> str:
    close = difflib.get_close_matches(str(spec).lower(), DATASETS, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"data {str(spec)!r} not found: no such file or folder, and no name of a data set; {hint}"
        f"names: {', '.join(DATASETS)}"
    )
