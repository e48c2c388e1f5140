"""A run folder that is deleted, moved or replaced while its training runs.

Without the program and run.json a checkpoint cannot be resumed, so they are written anew where they
are gone; the folder, too, where there is none any more. What another training has put in its place
stays as it is. Not for who may train in a folder: `RunFolder.held`.
"""

from __future__ import annotations

import contextlib
import os
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

from rpucc.errors import OutputError
from rpucc.outputs import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from rpucc.program import Program
    from rpucc.runs.folder import RunFolder


class Guard:
    """What a training's folder had when it began, or went on; a context, which lets it go."""

    def __init__(self, run: RunFolder, program: Program) -> None:
        self._run, self._program = run, program
        self._folder = _identity(run.path)
        self._contents = {path: path.read_bytes() for path in run.written_once if path.is_file()}
        self._holds = contextlib.ExitStack()

    def restored(self) -> bool:
        """Write anew what is gone, and tell whether something was.

        Raises OutputError where that cannot be, or where there is something in the folder's place.
        """
        run = self._run
        found = _identity(run.path)
        if found != self._folder:
            if found is not None and os.listdir(run.path):
                raise OutputError(
                    f"{run.path}: is another folder than the one that this training began in, "
                    "which was moved or deleted; the training ends and leaves it as it is"
                )
            self._holds.close()
            self._holds.enter_context(run.held())
            self._folder = _identity(run.path)
        gone = [path for path in self._contents if not path.exists()]
        for path in gone:
            write_file(path, partial(_put, self._contents[path]))
        if not run.program.exists():
            run.write_program(self._program)
            gone.append(run.program)
        return bool(gone)

    @property
    def holds(self) -> bool:
        """Whether what lies in the folder's place is the folder."""
        return _identity(self._run.path) == self._folder

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, *_: object) -> None:
        """Let a folder go that was made anew."""
        self._holds.close()


def _put(content: bytes, stream: BinaryIO) -> None:
    stream.write(content)


def _identity(path: Path) -> tuple[int, int] | None:
    """What tells a folder from every other one, as long as someone holds it; None: not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
