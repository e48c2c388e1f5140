"""What commands write: JSON on standard output, and files that appear whole or not at all.

Not for programs and models: those write themselves the same way.
"""

from __future__ import annotations

import errno
import json
import math
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import click

from rpucc.errors import OutputError
from rpucc.files import is_stream, place_of, write_whole


def print_json(data: object) -> None:
    """Print `data` as JSON; numbers that JSON cannot hold (NaN, infinity) become null."""
    click.echo(to_json(data))


def to_json(data: object) -> str:
    """Return `data` as indented JSON with non-finite numbers as null.

    What is not printable is escaped: a name of a file never reaches a terminal as more than text.
    """
    text = json.dumps(_finite(data), indent=2, ensure_ascii=False, allow_nan=False)
    return re.sub(r"[^\x00-\x7e]", _escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _finite(data: object) -> object:
    if isinstance(data, dict):
        return {str(key): _finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_finite(value) for value in data]
    if isinstance(data, float) and not math.isfinite(data):
        return None
    return data


def check_file(path: Path, *reads: str | Path | None) -> None:
    """Raise OutputError unless a file can be written at `path`; leaves nothing behind.

    reads: the names of what the command reads, none of which may be replaced.
    """
    if any(_is_same_file(path, name) for name in reads if name is not None):
        raise OutputError(f"{path}: is what the command reads; give the name of another file")
    _check_name(path)
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; give the name of a file to write")
    if is_stream(path):
        if not os.access(path, os.W_OK):
            raise OutputError(f"{path}: cannot write: {os.strerror(errno.EACCES)}")
        return
    place = place_of(path)
    if not place.parent.is_dir():
        found = "is not a folder" if place.parent.exists() else "does not exist"
        raise OutputError(f"{path}: cannot write: {place.parent} {found}")
    _probe(path, place.parent)


def _is_same_file(path: Path, name: str | Path) -> bool:
    try:
        return path.samefile(name)
    except OSError:  # at least one of them is not there
        return False


def check_folder(path: Path) -> None:
    """Raise OutputError unless the folder is there or can be made, and takes files.

    Leaves nothing behind: what is tried is a nameless file in the nearest folder that exists.
    """
    _check_name(path)
    nearest = path
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        what = "is" if nearest == path else f"{nearest} is"
        raise OutputError(f"{path}: cannot write: {what} a file, not a folder")
    _probe(path, nearest)


def check_new(path: Path, *reads: str | Path | None, force: bool) -> None:
    """Raise OutputError as `check_file`, and for a file that is there and may not be replaced.

    force: it may be. A pipe or a device is written to in any case.
    """
    check_file(path, *reads)
    if path.exists() and not force and not is_stream(path):
        raise OutputError(f"{path}: is there already; --force replaces it")


def _check_name(path: Path) -> None:
    """Raise OutputError where the system does not take the name at all, as one too long."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        pass  # what there is of it is looked at next
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror or error}") from error


def _probe(path: Path, folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"{path}: cannot write to the folder {folder}: {reason}") from error


def make_folder(path: Path) -> None:
    """Make a folder and its parents; OutputError where that fails."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: cannot make the folder: {error.strerror or error}") from error


def write_file(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let `write` fill a temporary file beside `path`, then rename it; OutputError if it fails."""
    try:
        write_whole(path, write)
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror or error}") from error


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8 with \\n line ends, whole or not at all."""
    write_file(path, lambda stream: stream.write(text.encode()))
