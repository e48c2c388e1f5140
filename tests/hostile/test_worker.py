"""What the attack counts as wrong, and how its script says so."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rpucc.errors import DataError

from .. import repository
from .mutate import damage
from .reader import Reader, WronglyTakenError
from .worker import outcome


def raises(error: BaseException) -> Callable[[Path], object]:
    def read(path: Path) -> None:
        raise error

    return read


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (lambda path: None, "taken"),
        (raises(DataError("x.bin: is damaged", "x.bin: has no end")), "refused"),
        (raises(DataError("x.bin: is\ndamaged")), "no one line"),
        (raises(DataError()), "no one line"),
        (raises(DataError("x.bin" * 1000)), "no one line"),
        (raises(DataError("is damaged")), "no file named"),
        (raises(ValueError("x.bin")), "traceback"),
        (raises(MemoryError()), "too much memory"),
        (raises(WronglyTakenError("x.bin")), "wrongly taken"),
        (lambda path: time.sleep(5), "too long"),
    ],
)
def test_outcomes(read: Callable[[Path], object], kind: str, tmp_path: Path) -> None:
    reader = Reader("x.bin", lambda folder: [b""], damage, read)
    assert outcome(reader, tmp_path / "x.bin", 1)[0] == kind


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by what only Linux has")
def test_the_script_prints_a_table(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(repository.ROOT / "scripts" / "attack.py"), "modules",
         "--count", "20", "--keep", str(tmp_path)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    head, row = done.stdout.splitlines()
    assert head.split() == [
        "reader",
        "tries",
        "taken",
        "refused",
        "wrong",
        "slowest",
        "memory",
        "all",
    ]
    name, tries, taken, refused, wrong, *_ = row.split()
    assert (name, tries, wrong) == ("modules", "20", "0")
    assert int(taken) + int(refused) == 20
