"""Tables in CSV, TSV and Parquet files: columns, labels, parts, and refusals by row and column."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.data import csv_table, load_dataset, load_run_inputs, parquet_table

IRIS = "5.1,3.5,setosa\n4.9,3.0,setosa\n7.0,3.2,versicolor\n6.4,3.1,versicolor\n"


def text(path: Path, content: str, encoding: str = "utf-8") -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(content.encode(encoding))
    return path


def parquet(path: Path, **columns: Any) -> Path:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.table(columns), path)
    return path


def refused(spec: object, *parts: str) -> None:
    with pytest.raises(DataError) as caught:
        load_dataset(spec)  # type: ignore[arg-type]
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


# ---------------------------------------------------------------- what is read


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["sl,sw,species\n", "", "\nsl, sw ,species\n"])
def test_texts_are_classes_with_or_without_a_header(
    tmp_path: Path, delimiter: str, end: str, head: str
) -> None:
    content = (head + IRIS).replace(",", delimiter).replace("\n", end)
    path = text(tmp_path / "iris.csv", content)
    data = load_dataset(f"{path}:{'species' if head else '3'}")
    assert data.x_train.dtype == np.float32
    np.testing.assert_array_equal(data.x_train, np.float32([[5.1, 3.5], [7.0, 3.2]]))
    np.testing.assert_array_equal(data.x_test, np.float32([[4.9, 3.0], [6.4, 3.1]]))
    assert data.y_train.tolist() == data.y_test.tolist() == [0, 1]
    assert data.class_names == ("setosa", "versicolor")
    assert data.notes == (
        f"{path}: 2 columns of numbers and the label {'species' if head else '3'!r}",
        f"{path}: 2 classes, numbered by name: setosa 0, versicolor 1",
        f"{path}: the last tenth of each class is the test part",
    )


def test_the_column_label_needs_no_name(tmp_path: Path) -> None:
    path = text(tmp_path / "d.csv", "label,0,1\n3,1e-3,2\n3,-4,.5\n0,6,7\n0,8,9\n")
    data = load_dataset(path)
    np.testing.assert_array_equal(data.x_train, np.float32([[1e-3, 2], [6, 7]]))
    assert data.y_test.tolist() == [3, 0]
    assert data.class_names == ()
    assert data.y_train.dtype == np.int64


def test_numbers_that_are_not_whole_are_targets(tmp_path: Path) -> None:
    rows, head, more = "".join(f"{i},{i}.5\n" for i in range(20)), "x,y\n", "1,2.0\n3,4.0\n"
    data = load_dataset(f"{text(tmp_path / 'd.csv', head + rows)}:y")
    assert data.y_train.dtype == np.float32
    assert data.y_test.tolist() == [18.5, 19.5]
    whole = load_dataset(f"{text(tmp_path / 'e.csv', head + more)}:y")
    assert whole.y_train.dtype == np.float32


def test_quotes_marks_and_spreadsheets(tmp_path: Path) -> None:
    content = '"a","label"\n"1.5","x, y"\n2.5,"x, y"\n3,"é"\n4,é\n'
    data = load_dataset(text(tmp_path / "d.csv", content, "utf-8-sig"))
    assert data.class_names == ("x, y", "é")
    np.testing.assert_array_equal(data.x_test[:, 0], [2.5, 4])


def test_parts_in_two_files(tmp_path: Path) -> None:
    text(tmp_path / "train.csv", "a,label\n1,n\n2,m\n")
    text(tmp_path / "test.csv", "a,label\n3,n\n")
    data = load_dataset(tmp_path)
    assert (data.y_train.tolist(), data.y_test.tolist()) == ([1, 0], [1])
    text(tmp_path / "test.csv", "a,label\n3,z\n")
    refused(tmp_path, "test.csv: column 'label' holds 'z', but in", "it holds 'm', 'n'")
    text(tmp_path / "test.csv", "a,label\n3,4\n")
    refused(tmp_path, "column 'label' holds 'numbers', but in")
    text(tmp_path / "test.csv", "b,label\n3,n\n")
    refused(tmp_path, "test.csv has the columns 'b' but", "'a'; both parts must be alike")


def test_parquet_by_its_types(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    y = pa.array(["b", "a", "b", "a"]).dictionary_encode()
    path = parquet(tmp_path / "d.parquet", a=[1.5, 2, 3, 4], n=[1, 2, 3, 4], f=[True] * 4, label=y)
    data = load_dataset(path)
    np.testing.assert_array_equal(data.x_test, np.float32([[3, 3, 1], [4, 4, 1]]))
    assert (data.y_train.tolist(), data.class_names) == ([1, 0], ("a", "b"))
    pixels = [pa.array(np.arange(4, dtype=np.uint8)) for _ in range(2)]
    path = parquet(tmp_path / "p.parquet", p=pixels[0], q=pixels[1], y=[0, 1, 0, 1])
    assert load_dataset(f"{path}:y").x_train.dtype == np.uint8
    path = parquet(tmp_path / "r.parquet", p=[1, 2, 3], y=[0.5, 1, 2])
    assert load_dataset(f"{path}:y").y_train.dtype == np.float32
    big = pa.array([2**64 - 1, 1, 2], pa.uint64())
    assert load_dataset(f"{parquet(tmp_path / 'u.parquet', p=[1, 2, 3], y=big)}:y").y_train[0] > 0


def test_both_kinds_read_the_same(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(60, 5)).astype(np.float32), rng.integers(0, 3, 60)
    columns = {f"c{i}": x[:, i] for i in range(5)} | {"label": y}
    one = load_dataset(parquet(tmp_path / "d.parquet", **columns))
    rows = [",".join([*map(repr, map(float, r)), str(k)]) for r, k in zip(x, y, strict=True)]
    other = load_dataset(text(tmp_path / "d.csv", "\n".join([",".join(columns), *rows])))
    for part in ("x_train", "y_train", "x_test", "y_test"):
        np.testing.assert_array_equal(getattr(one, part), getattr(other, part))
    assert set(other.y_test.tolist()) == {0, 1, 2}


def test_a_name_with_a_colon_is_that_file(tmp_path: Path) -> None:
    path = text(tmp_path / "a:label.csv", "x,label\n1,0\n2,1\n3,1\n")
    assert len(load_dataset(path).x_train) == 2
    assert len(load_dataset(f"{path}:x").x_train) == 2


def test_run_takes_tables(tmp_path: Path) -> None:
    path = text(tmp_path / "new.csv", "a,b\n1,2\n3,4\n")
    found = load_run_inputs(path, {"x": (2,)}, (0.0, 9.0))
    assert (found.samples, found.labels, found.part) == (2, None, "its rows")
    lines: list[str] = []
    known = load_run_inputs(f"{path}:b", {"x": (1,)}, (0.0, 9.0), lines.append)
    assert known.labels is not None
    assert (known.labels.tolist(), known.part) == ([4], "its test part")
    assert lines


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ("is empty; expected rows",)),
        ("\n\n", ("is empty; expected rows",)),
        ("a,b\n1,2\n", ("no column 'label'; it has 'a', 'b'", "d.csv:b")),
        ("1,2\n3,4\n", ("no column 'label'; it has '1', '2'", "d.csv:2")),
        ("label,label\n1,2\n", ("2 columns are called 'label'",)),
        ("label\n1\n2\n", ("there is no column beside 'label'",)),
        (",a,label\n0,1,1\n1,2,2\n", ("a column is called '', as the index", "index=False")),
        ("Unnamed: 0,a,label\n0,1,1\n", ("a column is called 'Unnamed: 0'",)),
        ("a,label\n1,0\n?,1\n", ("line 3, column 'a': found '?', but a number is needed",)),
        ("a,label\n1,0\n,1\n", ("line 3, column 'a': is empty; fill the missing values",)),
        ("a,label\n1,0\nnan,1\n", ("line 3, column 'a': is NaN",)),
        ("a,label\n1,0\n-inf,1\n", ("line 3, column 'a': found '-inf', beyond what float32",)),
        ("a,label\n1,0\n1e39,1\n", ("line 3, column 'a': found '1e39', beyond what float32",)),
        ("a,label\n1,x\n2, \n", ("line 3, column 'label': is empty",)),
        ("a,label\n1,1\n2,x\n", ("line 3, column 'label': found 'x', but other labels are num",)),
        ("a,label\n1,1\n2,nan\n", ("line 3, column 'label': is NaN",)),
        ("a,label\n1,1\n2,1,3\n", ("line 3 has 3 cells but the first 2",)),
        ("a,label\n1,1\n\n2\n", ("line 4 has 1 cells but the first 2",)),
        ("a;label\n1,5;1\n", ("line 2, column 'a': found '1,5'",)),
        ("a,label\n", ("cannot be read as a table of numbers: 0 rows",)),
        ("a,label\n1,1\n", ("has 1 rows; 2 or more are needed",)),
        ("\0\1,\2\n", ("",)),
        ('a,label\n"1,1\n2,2\n', ("",)),
    ],
)
def test_refusals_name_line_and_column(
    tmp_path: Path, content: str, parts: tuple[str, ...]
) -> None:
    path = text(tmp_path / "d.csv", content)
    refused(path, str(path), *parts)


def test_what_is_no_text(tmp_path: Path) -> None:
    refused(text(tmp_path / "d.csv", "a,label\n1,é\n2,é\n", "latin-1"), "no table in UTF-8 text")
    refused(text(tmp_path / "e.csv", "a,label\n1,2\n", "utf-16"), "no table in UTF-8 text")
    refused(tmp_path / "none.csv", "not found: no such file")
    refused(f"{text(tmp_path / 'd.npz', 'x')}:y", "a colon names the column of a table's labels")


def test_a_large_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_CSV", 10)
    refused(text(tmp_path / "d.csv", "a,label\n1,1\n"), "the limit for text is 10: save the table")


def test_parquet_refusals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow")
    path = tmp_path / "d.parquet"
    one = {"label": [0, 1]}
    refused(parquet(path, a=[1, None], **one), "row 2, column 'a': a value is missing")
    refused(parquet(path, a=[1, float("nan")], **one), "row 2, column 'a': found nan; a finite")
    refused(parquet(path, a=[1, 1e300], **one), "row 2, column 'a': found 1e+300; a finite")
    refused(parquet(path, a=["x", "y"], **one), "column 'a' holds", "need numbers")
    refused(parquet(path, a=[[1], [2]], **one), "column 'a' holds list<", "single values")
    refused(parquet(path, a=[1, 2], label=[None, "x"]), "row 1, column 'label': a value is miss")
    refused(parquet(path, a=[1, 2], label=["x", " "]), "row 2, column 'label': a label is empty")
    refused(parquet(path, a=[1, 2], label=[0.5, float("nan")]), "column 'label': found nan")
    refused(parquet(path, a=[1, 2], label=[b"x", b"y"]), "holds neither numbers nor texts")
    dates = pa.array([1, 2], pa.date32())
    refused(parquet(path, a=dates, **one), "column 'a' holds", "need numbers")
    refused(parquet(path, a=[1, 2], label=pa.array([1, 2], pa.timestamp("s"))), "column 'label'")
    refused(parquet(path, __index_level_0__=[0, 1], label=[0, 1]), "as the index of a")
    refused(parquet(path, a=pa.array([], pa.int64()), label=pa.array([], pa.int64())), "no rows")
    monkeypatch.setattr(parquet_table, "MAX_BYTES", 10)
    refused(parquet(path, a=[1, 2], **one), "2 rows of 2 columns are 16 bytes; the limit is 10")
    path.write_bytes(path.read_bytes()[:-9])
    refused(path, f"{path} is no Parquet file, or a damaged one")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    refused(path, "needs pyarrow; install it with pip install 'rpucc[tables]'")
