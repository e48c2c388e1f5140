"""Files that appear whole or not at all, and what killed writers leave of them.

A file is written under a temporary name beside its place, `.NAME.PID.tmp`, and then renamed. What
is no plain file (a pipe, a device, the process's own output) is never replaced, but written to; of
a link the file that it leads to is written. The writer holds a lock on its file for as long as it
lives, so what a killed one left can be told from what another is writing at this moment, on this
machine or another one: such rests are removed where the same file is written next, and by
`remove_rests` where a run starts anew. Needs only the standard library; OSErrors pass through.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

try:
    import fcntl
except ImportError:  # no such locks on this system: rests stay, which harms nothing
    fcntl = None  # type: ignore[assignment]

_REST = re.compile(r"\.(?P<name>.+)\.(?P<pid>[1-9]\d{0,9})\.tmp", re.DOTALL)


_AT_ONCE = 2**26  # bytes
_LONGEST_NAME = 200
"""Bytes of a file's name that are part of its temporary one: systems take 255 in all."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it to there.

    A stream (`is_stream`) gets the bytes once all are there.
    """
    if is_stream(path):
        with tempfile.TemporaryFile() as whole:
            write(whole)
            whole.seek(0)
            with _opened(path) as stream:
                shutil.copyfileobj(whole, stream)
        return
    path = place_of(path)
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


def read_whole(path: Path, most: int) -> bytes:
    """Return what is in a file, or comes out of a pipe; OSError for more than `most` bytes.

    A device may never end, and gives nothing.
    """
    too_large = OSError(errno.EFBIG, f"is larger than {most:,} bytes", str(path))
    with path.open("rb") as stream:
        refuse_device(stream)
        size = os.fstat(stream.fileno()).st_size  # 0 of a pipe: all comes in parts
        if size > most:
            raise too_large
        parts = [stream.read(size)]
        left = most + 1 - len(parts[0])
        while part := stream.read(min(left, _AT_ONCE)):
            parts.append(part)
            left -= len(part)
    if not left:
        raise too_large
    return parts[0] if len(parts) == 1 else b"".join(parts)


def refuse_device(stream: BinaryIO) -> None:
    """Raise OSError for an open device (/dev/zero, a terminal): it is no file, and may not end."""
    kind = os.fstat(stream.fileno()).st_mode
    if stat.S_ISCHR(kind) or stat.S_ISBLK(kind):
        raise OSError(errno.EINVAL, "is a device, not a file", stream.name)


def place_of(path: Path) -> Path:
    """Return where what is written to `path` lies: of a link, what it leads to, there or not."""
    return Path(os.path.realpath(path)) if path.is_symlink() else path


def is_stream(path: Path) -> bool:
    """Whether `path` is what can be written to, but not replaced.

    That is a pipe, a socket, a device, or a file that is the process's own standard output or error
    (as /dev/stdout is).
    """
    try:
        found = path.stat()
    except (OSError, ValueError):  # nothing there, or no name at all: the writer will tell
        return False
    if stat.S_ISREG(found.st_mode):
        return _own_output(found) is not None
    return not stat.S_ISDIR(found.st_mode)


def _own_output(found: os.stat_result) -> int | None:
    """Return the number under which a file is open as standard output or error."""
    for number in (1, 2):
        with contextlib.suppress(OSError):  # closed
            if os.path.samestat(found, os.fstat(number)):
                return number
    return None


def _opened(path: Path) -> BinaryIO:
    """Open a stream; the process's own outputs where they stand."""
    own = _own_output(path.stat())
    if own is None:
        return path.open("wb")
    for text in (sys.stdout, sys.stderr):
        if text is not None:
            text.flush()
    return open(os.dup(own), "wb")


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
    removed, wanted = [], None if name is None else _short(name)
    with contextlib.suppress(OSError):  # nothing there, or nothing that we may change
        for entry in os.scandir(folder):
            found = _REST.fullmatch(entry.name)
            if (
                found
                and wanted in (None, found["name"])
                and _is_abandoned(entry, int(found["pid"]))
            ):
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
    return path.with_name(f".{_short(path.name)}.{os.getpid()}.tmp")


def _short(name: str) -> str:
    """Return a file's name, or what stands for it where a longer one would be too long."""
    raw = os.fsencode(name)
    return name if len(raw) <= _LONGEST_NAME else hashlib.sha256(raw).hexdigest()


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
