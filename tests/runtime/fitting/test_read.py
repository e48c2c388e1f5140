"""Curves from CSV files: what is a pulse, a gap, a missing read; units; what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rpucc.errors import DataError
from rpucc.runtime.fitting.read import read_curves

HEADER = "device,pulse,direction,weight\n"
UP_DOWN = "a,0,read,0\na,1,up,0.1\na,2,down,0.0\n"


def write(path: Path, text: str) -> Path:
    file = path / "curves.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_pulses_reads_and_failed_reads(tmp_path: Path) -> None:
    text = "a,0,read,0\na,1,up,0.1\na,1,up,0.11\na,2,+1,NaN\na,3,potentiation,0.3\n"
    text += "a,4,down,\na,5,-1,0.1\nb,7,up,0\nb,8,up,0.1\nb,9,down,0\n"
    a, b = read_curves(write(tmp_path, HEADER + text)).devices
    np.testing.assert_array_equal(a.counts, [0, 1, 0, 1, 1, -1, -1])
    np.testing.assert_array_equal(a.seen, [1, 1, 1, 0, 1, 0, 1])
    np.testing.assert_array_equal(a.fresh, [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(b.counts, [0, 1, -1])
    assert a.moves == 3
    assert read_curves(write(tmp_path, HEADER + text)).missing == 2


def test_gaps(tmp_path: Path) -> None:
    """A gap within a leg is so many pulses; one at a turn, or where counting starts anew, a cut."""
    text = "a,1,up,0.1\na,5,up,0.5\na,9,down,0.3\na,12,down,0.1\na,1,up,0.2\na,3,up,0.4\n"
    curves = read_curves(write(tmp_path, HEADER + text))
    (a,) = curves.devices
    np.testing.assert_array_equal(a.counts, [0, 4, 0, -3, 0, 2])
    np.testing.assert_array_equal(a.fresh, [1, 0, 1, 0, 1, 0])
    assert curves.left_out == 2


def test_a_cut_before_a_failed_read(tmp_path: Path) -> None:
    """Where counting starts anew at a read without a number, the next number starts the curve."""
    text = "a,1,up,0.1\na,2,up,0.2\na,3,down,0.1\na,1,up,NaN\na,2,up,0.2\na,3,up,0.3\n"
    (a,) = read_curves(write(tmp_path, HEADER + text)).devices
    np.testing.assert_array_equal(a.counts, [0, 1, -1, 0, 0, 1])
    np.testing.assert_array_equal(a.fresh, [1, 0, 0, 0, 1, 0])
    text = "a,1,up,\na,2,up,0.2\na,3,up,0.3\na,4,down,0.1\n"
    (a,) = read_curves(write(tmp_path, HEADER + text)).devices
    np.testing.assert_array_equal(a.counts, [0, 1, -1])


@pytest.mark.parametrize("header", ["conductance_uS", "conductance (µS)", "Conductance[uS]"])
def test_units_and_the_weight_of_a_conductance(tmp_path: Path, header: str) -> None:
    rows = "".join(f"a;{i};{'up' if i < 31 else 'down'};{5 + min(i, 60 - i)}\n" for i in range(61))
    file = write(tmp_path, f"device;pulse;direction;{header}\n{rows}")
    curves = read_curves(file)
    assert (curves.unit, curves.reference, curves.scale) == ("uS", 19.5, pytest.approx(14.5 / 0.6))
    given = read_curves(file, g_ref=20.0, g_unit=25.0).devices[0]
    assert given.values[0] == pytest.approx(-0.6)
    assert given.values[30] == pytest.approx(0.6)


def test_the_unit_as_an_option(tmp_path: Path) -> None:
    file = write(tmp_path, HEADER.replace("weight", "conductance") + UP_DOWN)
    assert read_curves(file, "nS").unit == "nS"


W = "weight"
REFUSED = [
    ("", "is empty"),
    (HEADER, "has no rows below its header"),
    ("a,b\n1,2\n", "needs a column pulse and direction and one of weight or conductance_uS"),
    ("pulse,direction\n1,up\n", "needs a column one of weight or conductance_uS"),
    (HEADER + "a,1,up\n", "line 2 has 3 cells but the header 4"),
    (HEADER + "a,1,sideways,0\n", "line 2, column 'direction': found 'sideways', needed: up"),
    (HEADER + "a,1.5,up,0\n", "line 2, column 'pulse': found '1.5', needed: a whole number"),
    (HEADER + "a,-1,up,0\n", "column 'pulse': found '-1'"),
    (HEADER + "a,1,up,x\n", "line 2, column 'weight': found 'x', needed: a number, or NaN"),
    (HEADER + "a,1,up,inf\n", "column 'weight': found 'inf'"),
    (HEADER + ",1,up,0\n", "column 'device': is empty"),
    (HEADER + "a,1,up,0\na,3000000,up,1\n", "more than 1,000,000 pulses of a device"),
    (HEADER + "a,1,up,0\na,2,up,1\n", "no read follows a pulse down"),
    (HEADER + "a,1,down,0\na,2,down,1\n", "no read follows a pulse up"),
    (HEADER + UP_DOWN + "b,1,up,0\nb,2,up,1\n", "device 'b': a read after a pulse up and one"),
    (HEADER + UP_DOWN.replace("0.1", "0"), "device 'a' never changes: it is stuck"),
    (HEADER.replace(W, "conductance") + UP_DOWN, "column 'conductance' names no unit"),
    (HEADER.replace(W, "conductance_kS") + UP_DOWN, "column 'conductance_kS' names no unit"),
    ("pulse,pulse,direction,weight\n1,1,up,0\n", "2 columns are called 'pulse'"),
    ("pulse,direction,weight,conductance_uS\n1,up,0,1\n", "needs a column one of weight or"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_curves(write(tmp_path, text))
    assert message in str(caught.value)
    assert "curves.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_options_contradict(tmp_path: Path) -> None:
    file = write(tmp_path, HEADER + UP_DOWN)
    with pytest.raises(DataError, match="column 'weight' has no unit, but --unit uS is given"):
        read_curves(file, "uS")
    with pytest.raises(DataError, match="takes no g_ref and g_unit"):
        read_curves(file, g_ref=1.0)
    file = write(tmp_path, HEADER.replace(W, "conductance_uS") + UP_DOWN)
    with pytest.raises(DataError, match="names another unit than --unit nS"):
        read_curves(file, "nS")
