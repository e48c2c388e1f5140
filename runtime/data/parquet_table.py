"""Tables in Parquet files, through pyarrow, which is imported where one is opened.

Not for what becomes of the columns: that is tables.py.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from rpucc.errors import DataError, one_line
from rpucc.runtime.data.npy import MAX_BYTES, Array, unreadable

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

T = TypeVar("T")


def parquet_columns(path: Path) -> list[str]:
    """Return the names of the columns; raises DataError."""
    return _opened(path, lambda file: [str(name) for name in file.schema_arrow.names])


def read_parquet(path: Path, label: int | None) -> tuple[Array, Array | None]:
    """Return samples [n, columns], uint8 where all columns are, else float32; and the labels.

    label: the column of the labels, from 0. They are int64, float64 or texts. Raises DataError,
    which names the row and the column of what is missing or no number.
    """

    def read(file: ParquetFile) -> tuple[Array, Array | None]:
        names = [str(name) for name in file.schema_arrow.names]
        rows = int(file.metadata.num_rows)
        if rows * len(names) * 4 > MAX_BYTES:
            raise DataError(
                f"{path}: {rows:,} rows of {len(names)} columns are {rows * len(names) * 4:,} "
                f"bytes; the limit is {MAX_BYTES:,}: save the arrays as .npy files, which stay on "
                "disk"
            )
        if not rows:
            raise DataError(f"{path} has no rows")
        table = file.read()
        found = [_column(path, name, table.column(i)) for i, name in enumerate(names)]
        labels = None if label is None else _labels(path, names[label], found.pop(label))
        others = [name for i, name in enumerate(names) if i != label]
        bytes_only = all(column.dtype == np.uint8 for column in found)
        samples = np.empty((rows, len(found)), np.uint8 if bytes_only else np.float32)
        for i, (name, column) in enumerate(zip(others, found, strict=True)):
            if column.dtype.kind not in "biuf":
                raise DataError(
                    f"{path}: column {name[:40]!a} holds {column.dtype.type.__name__}; all columns "
                    "but the label's need numbers: encode texts as numbers, or drop it"
                )
            with np.errstate(over="ignore"):
                samples[:, i] = column
            if not np.isfinite(samples[:, i]).all():
                row = int(np.argmin(np.isfinite(samples[:, i])))
                raise DataError(
                    f"{path}: row {row + 1}, column {name[:40]!a}: found {column[row]}; a finite "
                    "number is needed: fill missing values or leave the row out"
                )
        return samples, labels

    return _opened(path, read)


def _column(path: Path, name: str, column: Any) -> Array:
    """Return a column as NumPy has it; raises DataError for a missing value."""
    import pyarrow

    if column.null_count:
        row = column.is_null().to_pylist().index(True)
        raise DataError(
            f"{path}: row {row + 1}, column {name[:40]!a}: a value is missing; fill the missing "
            "values or leave the row out"
        )
    kind = column.type
    if pyarrow.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    if pyarrow.types.is_nested(column.type):
        raise DataError(
            f"{path}: column {name[:40]!a} holds {one_line(column.type)}; only columns of single "
            "values can be read: save arrays as .npy"
        )
    return np.asarray(column.to_numpy())


def _labels(path: Path, name: str, column: Array) -> Array:
    if column.dtype.kind in "OU":
        if not all(isinstance(each, str) for each in column):
            raise DataError(f"{path}: column {name[:40]!a} holds neither numbers nor texts")
        blank = [i for i, each in enumerate(column) if not each.strip()]
        if blank:
            raise DataError(f"{path}: row {blank[0] + 1}, column {name[:40]!a}: a label is empty")
        return column.astype(str)
    if column.dtype == np.uint64:
        column = np.minimum(column, np.uint64(np.iinfo(np.int64).max))  # out of range anyway
    if column.dtype.kind in "biu":
        return column.astype(np.int64)
    if column.dtype.kind == "f":
        bad = ~np.isfinite(column)
        if bad.any():
            row = int(bad.argmax())
            raise DataError(
                f"{path}: row {row + 1}, column {name[:40]!a}: found {column[row]}; "
                "a label is missing"
            )
        return column.astype(np.float64)
    raise DataError(
        f"{path}: column {name[:40]!a} holds {column.dtype}; labels are numbers or texts"
    )


def _opened(path: Path, use: Callable[[ParquetFile], T]) -> T:
    """Return what `use` makes of a Parquet file; raises DataError for what is none."""
    try:
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow; install it with pip install 'rpucc[tables]'"
        ) from error
    try:
        with ParquetFile(path) as file:
            return use(file)
    except (DataError, MemoryError):
        raise
    except (PermissionError, FileNotFoundError, IsADirectoryError) as error:
        raise unreadable(path, error) from error
    except Exception as error:  # pyarrow raises a dozen classes for damaged files
        raise DataError(
            f"{path} is no Parquet file, or a damaged one: {one_line(error)}"
        ) from error
