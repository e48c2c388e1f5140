"""Files appear whole or not at all; what killed writers leave goes, what living ones hold stays."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from rpucc.files import is_stream, read_whole, remove_rests, temporary_folder, write_whole

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


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_a_pipe_is_written_to(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()))
    reader.start()
    write_whole(pipe, lambda stream: stream.write(b"whole"))
    reader.join()
    assert found == [b"whole"]
    assert names(tmp_path) == ["pipe"]
    assert is_stream(pipe)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_followed(tmp_path: Path, there: bool) -> None:
    (tmp_path / "kept").mkdir()
    kept, link, two = tmp_path / "kept" / "x", tmp_path / "link", tmp_path / "two"
    if there:
        kept.write_text("before")
    link.symlink_to(kept)
    two.symlink_to(link)
    write_whole(two, lambda stream: stream.write(b"after"))
    assert kept.read_text() == "after"
    assert link.is_symlink()
    assert two.is_symlink()
    assert names(tmp_path / "kept") == ["x"]


def test_a_devices_file_stays(tmp_path: Path) -> None:
    write_whole(Path(os.devnull), lambda stream: stream.write(b"nothing"))
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="no /dev/stdout on this system")
@pytest.mark.parametrize("name", ["/dev/stdout", "own.txt"])
def test_the_processs_own_output_goes_on_where_it_stands(tmp_path: Path, name: str) -> None:
    """Replaced, or truncated, it would lose what was printed before, or after."""
    code = f"""
        from pathlib import Path
        from rpucc.files import write_whole
        print("before")
        write_whole(Path({name!r}), lambda stream: stream.write(b"whole\\n"))
        print("after")
    """
    with (tmp_path / "own.txt").open("wb") as out:
        subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)], stdout=out, cwd=tmp_path, check=True
        )
    assert (tmp_path / "own.txt").read_text() == "before\nwhole\nafter\n"


def longest(folder: Path) -> int:
    return os.pathconf(folder, "PC_NAME_MAX")


@pytest.mark.parametrize("letter", ["x", "µ"])
def test_names_of_any_legal_length(tmp_path: Path, letter: str) -> None:
    name = letter * (longest(tmp_path) // len(letter.encode()))
    path = tmp_path / name
    write_whole(path, lambda stream: stream.write(b"whole"))
    with temporary_folder(path) as folder:
        assert len(os.fsencode(folder.name)) < longest(tmp_path)
    assert names(tmp_path) == [name]
    rest = tmp_path / f".{hashlib.sha256(name.encode()).hexdigest()}.{free_number()}.tmp"
    rest.write_text("half")
    write_whole(tmp_path / "another", lambda stream: stream.write(b""))
    assert rest.exists()
    write_whole(path, lambda stream: stream.write(b""))
    assert not rest.exists()


def test_a_limit_to_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"0123")
    assert read_whole(path, 4) == b"0123"
    with pytest.raises(OSError, match="is larger than 3 bytes"):
        read_whole(path, 3)
    with pytest.raises(OSError, match="is a device, not a file"):
        read_whole(Path(os.devnull), 4)


def peak_of(read: Callable[[], object]) -> int:
    """The most bytes that were held while `read` ran."""
    tracemalloc.start()
    try:
        read()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_file_is_held_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts and what they make together would take twice its size."""
    monkeypatch.setattr("rpucc.files._AT_ONCE", 2**16)
    path = tmp_path / "x"
    path.write_bytes(bytes(2**20))
    assert peak_of(lambda: read_whole(path, 2**21)) < 1.5 * 2**20


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.truncate(2**30)

    def refused() -> None:
        with pytest.raises(OSError, match="is larger than 16,777,216 bytes"):
            read_whole(path, 2**24)

    assert peak_of(refused) < 2**20


def test_a_file_that_does_not_know_its_size_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of /proc, whose size is 0, and pipes."""
    monkeypatch.setattr("rpucc.files._AT_ONCE", 4)
    reads, writes = os.pipe()
    os.write(writes, b"0123456789")
    os.close(writes)
    assert read_whole(Path(f"/dev/fd/{reads}"), 10) == b"0123456789"
    os.close(reads)
