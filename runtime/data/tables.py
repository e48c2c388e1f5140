"""Data sets as tables: a row a sample, one column the label, all others numbers.

What makes samples and labels of columns, whichever file they come from; a kind of file is a row of
READERS. Not for reading files: that is csv_table.py and parquet_table.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rpucc.errors import DataError, one_line
from rpucc.runtime.data.archives import list_keys
from rpucc.runtime.data.class_names import numbered
from rpucc.runtime.data.csv_table import csv_columns, read_csv
from rpucc.runtime.data.dataset import Array, Dataset
from rpucc.runtime.data.npy import unreadable
from rpucc.runtime.data.parquet_table import parquet_columns, read_parquet
from rpucc.runtime.data.split import class_tails, tail_start

LABEL = "label"
"""The column of labels where nobody says another."""
TRAIN = ("train", "training")
TEST = ("test", "val", "valid", "validation")
"""What the files of the parts may be called in a folder, the first that is there."""


@dataclass(frozen=True)
class _Reader:
    """How a kind of table is read."""

    columns: Callable[[Path], list[str]]
    """The names of the columns; of a file that gives none "1", "2", …"""
    read: Callable[[Path, int | None], tuple[Array, Array | None]]
    """Samples float32 (or uint8) [n, columns] without the column of labels; the labels as int64,
    float64 or texts [n], None where no column is theirs."""


READERS: dict[str, _Reader] = {
    ".csv": _Reader(csv_columns, read_csv),
    ".tsv": _Reader(csv_columns, read_csv),
    ".parquet": _Reader(parquet_columns, read_parquet),
}
"""Ending of a file's name to how it is read."""


def load_table(path: Path, column: str = "", name: str | None = None) -> Dataset:
    """Return the data set in a table, or in the tables train and test (or val) of a folder.

    column: the label's, by name or, in a file without a header, by number from 1; "" is "label".
    name: what messages call it. Samples are float32 [n, columns], uint8 where the file says so of
    all. Labels that are texts are classes, numbered by their names; whole numbers are classes as
    they are, others targets of a regression. Of one table the last tenth of each class is the test
    part, of a regression the last tenth of the rows. Raises DataError, which names row and column.
    """
    name = name or str(path)
    train_file, test_file = table_files(path) or (path, None) if path.is_dir() else (path, None)
    columns, x, texts = _read(train_file, column)
    y, classes = _classes(texts, ())
    notes = [f"{name}: {len(columns)} columns of numbers and the label {_label(column)!r}"]
    if classes:
        notes.append(f"{name}: {len(classes)} classes, numbered by name: {numbered(classes)}")
    if test_file is None:
        if len(y) < 2:
            raise DataError(f"{train_file} has {len(y)} rows; 2 or more are needed")
        whole = y.dtype.kind == "i"
        tail = class_tails(y) if whole else np.arange(len(y)) >= tail_start(len(y))
        if not tail.any():
            tail[-1] = True  # each class has one row only
        which = "each class" if whole else "the rows"
        notes.append(f"{name}: the last tenth of {which} is the test part")
        parts = (x[~tail], y[~tail], x[tail], y[tail])
    else:
        others, x_test, texts = _read(test_file, column)
        if others != columns:
            raise DataError(
                f"{test_file} has the columns {list_keys(others)} but {train_file} "
                f"{list_keys(columns)}; both parts must be alike"
            )
        y_test, named = _classes(texts, classes)
        strangers = sorted(set(named) - set(classes))
        if strangers or bool(named) != bool(classes):
            here, there = list_keys(strangers or ["numbers"]), list_keys(classes or ["numbers"])
            raise DataError(
                f"{test_file}: column {_label(column)!r} holds {here}, but in {train_file} it "
                f"holds {there}"
            )
        parts = (x, y, x_test, y_test)
    return Dataset(name, *parts, class_names=classes, notes=tuple(notes))


def load_rows(path: Path) -> Array | None:
    """Return the samples of a table that has no labels; None where a column is called "label"."""
    reader = READERS[path.suffix.lower()]
    return None if LABEL in reader.columns(path) else reader.read(path, None)[0]


def table_files(folder: Path) -> tuple[Path, Path | None] | None:
    """Return the tables of both parts in a folder; None where there is none for training."""
    try:
        found = {
            path.stem.lower(): path
            for path in sorted(folder.iterdir(), reverse=True)
            if path.suffix.lower() in READERS
        }
    except OSError as error:
        raise unreadable(folder, error) from error
    train = next((found[each] for each in TRAIN if each in found), None)
    if train is None:
        return None
    return train, next((found[each] for each in TEST if each in found), None)


def _label(column: str) -> str:
    return column or LABEL


def _read(path: Path, column: str) -> tuple[list[str], Array, Array]:
    """Return the names of the columns of samples, the samples and the labels."""
    reader = READERS[path.suffix.lower()]
    columns = reader.columns(path)
    wanted = _label(column)
    if wanted not in columns:
        what = f"no column {column!r}" if column else "no column 'label'"
        raise DataError(
            f"{path}: {what}; it has {list_keys(columns)}: name the column of the labels behind a "
            f"colon, as in {path.name}:{one_line(columns[-1])[:40]}"
        )
    if columns.count(wanted) > 1:
        raise DataError(f"{path}: {columns.count(wanted)} columns are called {wanted!r}")
    place = columns.index(wanted)
    others = [*columns[:place], *columns[place + 1 :]]
    for name in others:
        if not name.strip() or name.startswith(("Unnamed: ", "__index_level_")):
            raise DataError(
                f"{path}: a column is called {name[:40]!a}, as the index of a table is, and would "
                "be taken for data: save the table without it (index=False), or give it a name"
            )
    if not others:
        raise DataError(f"{path}: there is no column beside {wanted!r}, and so no sample")
    x, labels = reader.read(path, place)
    assert labels is not None
    return others, x, labels


def _classes(labels: Array, known: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    """Return labels as numbers, and the names of the classes where they were texts.

    known: the names that have numbers already.
    """
    if labels.dtype.kind not in "UO":
        return labels, ()
    names, codes = np.unique(labels.astype(str), return_inverse=True)
    found = tuple(map(str, names))
    order = {name: number for number, name in enumerate(known or found)}
    numbers = np.array([order.get(name, -1) for name in found], np.int64)
    return numbers[codes.reshape(-1)], found
