"""Tables in CSV files: numbers between commas, semicolons or tabs, with or without a header.

NumPy's own reader does the work; where it stops, the file is gone through again for the row and
the column to name. Not for what becomes of the columns: that is tables.py.
"""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rpucc.errors import DataError, one_line
from rpucc.runtime.data.npy import Array, unreadable

MAX_CSV = 1 << 30
"""Bytes of a file: two a number, so that the numbers stay below 4 GB."""

ENCODING = "utf-8-sig"
"""UTF-8, with or without the mark that spreadsheets put first."""


@dataclass(frozen=True)
class _Form:
    """How a file is written."""

    delimiter: str
    columns: list[str]
    skipped: int
    """Lines before the first row of data."""


def csv_columns(path: Path) -> list[str]:
    """Return the names of the columns; without a header they are "1", "2", … Raises DataError."""
    return _form(path).columns


def read_csv(path: Path, label: int | None) -> tuple[Array, Array | None]:
    """Return samples as float32 [n, columns], and the labels in column `label` (from 0).

    Labels are int64, float64 or texts. Raises DataError, which names the line and the column of
    what is missing or no number.
    """
    form = _form(path)
    texts: dict[str, int] = {}

    def code(text: str) -> int:
        return texts.setdefault(text, len(texts))

    converters: dict[int | str, Callable[[str], Any]] = {} if label is None else {label: code}
    try:
        with warnings.catch_warnings():  # an empty file warns
            warnings.simplefilter("ignore")
            table = np.loadtxt(
                path,
                np.float64,
                comments=None,
                delimiter=form.delimiter,
                converters=converters or None,
                skiprows=form.skipped,
                ndmin=2,
                encoding=ENCODING,
                quotechar='"',
            )
    except OSError as error:
        raise unreadable(path, error) from error
    except MemoryError:
        raise
    except Exception as error:
        raise _fault(path, form, label, one_line(error)) from error
    if table.shape[1] != len(form.columns) or not len(table):
        raise _fault(path, form, label, f"{len(table)} rows of {table.shape[1]} columns")
    with np.errstate(over="ignore"):
        samples = np.delete(table, [] if label is None else label, 1).astype(np.float32)
    if not np.isfinite(samples).all():
        raise _fault(path, form, label, "it holds NaN or infinity")
    if label is None:
        return samples, None
    if not all(text.strip() for text in texts):
        raise _fault(path, form, label, "a label is missing")
    return samples, _labels(list(texts), table[:, label].astype(np.int64), path, form, label)


def _labels(texts: list[str], codes: Array, path: Path, form: _Form, label: int) -> Array:
    """Return labels: texts[codes] as whole numbers, as numbers, or as they are."""
    numbers = [_number(text) for text in texts]
    if all(number is None for number in numbers):
        return np.array([text.strip() for text in texts])[codes]
    if any(number is None or not math.isfinite(number) for number in numbers):
        raise _fault(path, form, label, "labels are numbers and texts", labels=True)
    try:
        return np.array([int(text) for text in texts], np.int64)[codes]
    except (ValueError, OverflowError):
        return np.array(numbers, np.float64)[codes]


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _form(path: Path) -> _Form:
    """Find out how a file is written from its first two rows."""
    try:
        if path.stat().st_size > MAX_CSV:
            raise DataError(
                f"{path} has {path.stat().st_size:,} bytes; the limit for text is {MAX_CSV:,}: "
                "save the table as Parquet or its arrays as .npy"
            )
        with path.open(encoding=ENCODING, newline="") as stream:
            start = next((line for line in stream if line.strip()), "")
        delimiter = max(",;\t", key=start.count)
        rows = []
        for line, row in _rows(path, delimiter):
            rows.append((line, row))
            if len(rows) == 2:
                break
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path} is no table in UTF-8 text: {one_line(error)}") from error
    if not rows:
        raise DataError(f"{path} is empty; expected rows of numbers")
    (line, first), second = rows[0], rows[1][1] if len(rows) > 1 else []
    heads = [_number(cell) is None for cell in first]
    header = any(
        head and (place >= len(second) or _number(second[place]) is not None)
        for place, head in enumerate(heads)
    )
    if not header:
        return _Form(delimiter, [str(number) for number in range(1, len(first) + 1)], 0)
    return _Form(delimiter, [cell.strip() for cell in first], line)


def _rows(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a file that are not empty, each with its last line, which count from 1."""
    with path.open(encoding=ENCODING, newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter)
        for row in reader:
            if row and any(cell.strip() for cell in row):
                yield reader.line_num, row


def _fault(
    path: Path, form: _Form, label: int | None, why: str, *, labels: bool = False
) -> DataError:
    """Return the error for the first cell that cannot be taken; `labels`: for one of no number."""
    try:
        for line, row in _rows(path, form.delimiter):
            if line <= form.skipped:
                continue
            if len(row) != len(form.columns):
                return DataError(
                    f"{path}: line {line} has {len(row)} cells but the first {len(form.columns)}; "
                    "each row needs one cell a column"
                )
            for place, cell in enumerate(row):
                problem = _problem(cell, label=place == label, number=labels or place != label)
                if problem:
                    return DataError(
                        f"{path}: line {line}, column {form.columns[place][:40]!a}: {problem}"
                    )
    except (OSError, ValueError, csv.Error) as error:
        return DataError(f"{path} is no table in UTF-8 text: {one_line(error)}")
    return DataError(f"{path} cannot be read as a table of numbers: {why}")


def _problem(cell: str, *, label: bool, number: bool) -> str:
    """Say what is wrong with a cell; "" where nothing is."""
    if not cell.strip():
        return "is empty; fill the missing values or leave the row out"
    if not number:
        return ""
    value = _number(cell)
    if value is None:
        kind = "other labels are numbers" if label else "a number is needed"
        return f"found {cell[:40]!a}, but {kind}; encode texts as numbers, fill missing values"
    if math.isnan(value):
        return "is NaN; fill the missing values or leave the row out"
    if not abs(value) <= float(np.finfo(np.float32).max):
        return f"found {cell.strip()[:40]!a}, beyond what float32 holds"
    return ""
