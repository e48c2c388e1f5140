"""Files appear whole or not at all; what killed writers leave goes, what living ones hold stays."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from rpucc.files import remove_rests, temporary_folder, write_whole

WRITER = """
import os, sys, time
from pathlib import Path
from rpucc.files import temporary_folder, write_whole

def write(stream):
    stream.write(b"half")
    stream.flush()
    print("writing", flush=True)
    time.sleep(60)

path = Path(sys.argv[1])
if sys.argv[2] == "file":
    write_whole(path, write)
else:
    with temporary_folder(path) as folder:
        write((folder / "part").open("wb"))
"""


def writer(path: Path, kind: str) -> subprocess.Popen[str]:
    """Start a process that is in the middle of writing."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(WRITER), str(path), kind],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_rests_of_the_killed_go_and_those_of_the_living_stay(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "result.bin"
    living, killed = writer(path, kind), writer(path, kind)
    killed.kill()
    killed.communicate()
    assert len(names(tmp_path)) == 2
    write_whole(path, lambda stream: stream.write(b"whole"))
    assert names(tmp_path) == [f".result.bin.{living.pid}.tmp", "result.bin"]
    assert remove_rests(tmp_path) == []
    living.kill()
    living.communicate()
    assert remove_rests(tmp_path) == [tmp_path / f".result.bin.{living.pid}.tmp"]
    assert path.read_bytes() == b"whole"


def test_a_lock_elsewhere_counts_too(tmp_path: Path) -> None:
    """A writer on another machine has a process number that is nobody's here."""
    fcntl = pytest.importorskip("fcntl")
    rest = tmp_path / f".x.{free_number()}.tmp"
    with rest.open("wb") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        assert remove_rests(tmp_path) == []
    assert remove_rests(tmp_path) == [rest]


def free_number() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_other_names_stay(tmp_path: Path) -> None:
    number = free_number()
    kept = [f"x.{number}.tmp", ".x.tmp", f".x.{number}.tmp2", ".x.0.tmp", f".x.{number}.tmp~"]
    for name in kept:
        (tmp_path / name).write_text("mine")
    (tmp_path / f".link.{number}.tmp").symlink_to(tmp_path / ".x.tmp")
    (tmp_path / f".y.{number}.tmp").write_text("a rest")
    assert remove_rests(tmp_path, "z") == []
    assert remove_rests(tmp_path) == [tmp_path / f".y.{number}.tmp"]
    assert names(tmp_path) == sorted([*kept, f".link.{number}.tmp"])
    assert remove_rests(tmp_path / "absent") == []


def test_what_fails_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("before")

    def fail(stream: object) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_whole(path, fail)
    with pytest.raises(OSError, match="no file name"):
        write_whole(Path("/"), lambda stream: stream.write(b""))
    with temporary_folder(path) as folder:
        (folder / "y").write_text("")
    assert names(tmp_path) == ["x"]
    assert path.read_text() == "before"
