"""Files that appear whole or not at all, and what killed writers leave of them.

A file is written under a temporary name beside its place, `.NAME.PID.tmp`, and then renamed. The
writer holds a lock on it for as long as it lives, so what a killed one left can be told from what
another is writing at this moment, on this machine or another one: such rests are removed where the
same file is written next, and by `remove_rests` where a run starts anew. Needs only the standard
library; OSErrors pass through.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # no such locks on this system: rests stay, which harms nothing
    fcntl = None  # type: ignore[assignment]

_REST = re.compile(r"\.(?P<name>.+)\.(?P<pid>[1-9]\d{0,9})\.tmp", re.DOTALL)


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to there."""
    remove_rests(path.parent, path.name)
    temporary = _temporary(path)
    try:
        with temporary.open("wb") as stream:
            _lock(stream.fileno())
            write(stream)
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """Give a temporary folder beside `path`, for files that are renamed from there.

    It is removed at the end with what is left in it.
    """
    remove_rests(path.parent, path.name)
    folder = _temporary(path)
    folder.mkdir()
    handle = _lock_folder(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def locked_folder(path: Path) -> Iterator[bool]:
    """Hold a folder that is there for this process; gives whether no other one held it.

    A dead process holds nothing. Where the system or the file system has no locks, every one gets
    it.
    """
    if fcntl is None:
        yield True
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        free = True
    except BlockingIOError:
        free = False
    except OSError:
        free = True
    try:
        yield free
    finally:
        os.close(handle)


def remove_rests(folder: Path, name: str | None = None) -> list[Path]:
    """Remove what killed writers left in a folder, of all files or of `name`; return what it was.

    What a living writer holds stays, and so does every name that is not of this kind.
    """
    removed = []
    with contextlib.suppress(OSError):  # nothing there, or nothing that we may change
        for entry in os.scandir(folder):
            found = _REST.fullmatch(entry.name)
            if found and name in (None, found["name"]) and _is_abandoned(entry, int(found["pid"])):
                path = Path(entry.path)
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)
                removed.append(path)
    return removed


def _temporary(path: Path) -> Path:
    """Return the temporary name; raises OSError where `path` names nothing."""
    if not path.name:
        raise OSError(None, "this is no file name")
    return path.with_name(f".{path.name}.{os.getpid()}.tmp")


def _is_abandoned(entry: os.DirEntry[str], pid: int) -> bool:
    """Whether no process of that number lives here, and none anywhere holds the lock.

    Both: a writer has its file for a moment before it has the lock, and the number of a dead one
    may be another's by now (then the rest stays for a while).
    """
    if fcntl is None or entry.is_symlink():
        return False
    try:
        os.kill(pid, 0)
        return False
    except ProcessLookupError:
        pass
    except (OSError, OverflowError):
        return False
    try:
        handle = os.open(entry.path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)


def _lock(handle: int) -> None:
    if fcntl is not None:
        with contextlib.suppress(OSError):  # a file system without locks: the process number counts
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _lock_folder(folder: Path) -> int | None:
    if fcntl is None:
        return None
    handle = os.open(folder, os.O_RDONLY)
    _lock(handle)
    return handle
