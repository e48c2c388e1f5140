"""Standard output and error of the command line: what happens where they take no more.

A full disk (`rpucc inspect run > /dev/full`) ends a command with one line and exit code 1. A
training goes on (`outlive_output`): its results are in its run folder. A reader that has gone
(`rpucc train … | head -1`) ends other commands quietly, as a pipe does.

Not for consoles, tables and bars: `rpucc/terminal.py`.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from typing import TextIO

from rpucc.errors import OutputError


class _Output(io.TextIOWrapper):
    """Standard output. From its first failure on, what is written goes nowhere."""

    goes_on = False
    lost: OSError | None = None

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            return super().write(text)
        except OSError as error:
            self._lose(error)
            return len(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        try:
            super().flush()
        except OSError as error:
            self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.lost = error
        gone = isinstance(error, BrokenPipeError)
        _lead_nowhere(self)
        if not self.goes_on:
            raise error if gone else OutputError(_text(error))
        if not gone:
            sys.stderr.write(f"{_text(error)}; the training goes on, its run folder has it all\n")


class _Errors(io.TextIOWrapper):
    """Standard error: where it takes no more, nobody can be told."""

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        with contextlib.suppress(OSError):
            return super().write(text)
        _lead_nowhere(self)
        return len(text)

    def flush(self) -> None:
        """Hand on what was written, or drop it."""
        try:
            super().flush()
        except OSError:
            _lead_nowhere(self)


def _lead_nowhere(stream: TextIO) -> None:
    """Connect a stream with the null device: what its buffer still holds goes there, too."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)


def _text(error: OSError) -> str:
    return f"cannot write to standard output: {error.strerror or error}"


def guard() -> None:
    """Put both streams under guard; a terminal without × or µ shows ?, and nothing fails."""
    sys.stdout = _guarded(sys.stdout, _Output)
    sys.stderr = _guarded(sys.stderr, _Errors)


def _guarded(stream: TextIO | None, kind: type[io.TextIOWrapper]) -> TextIO:
    if stream is None:  # closed by whoever started us
        return open(os.devnull, "w")
    if not isinstance(stream, io.TextIOWrapper):
        return stream  # a program that calls us has put its own there
    return kind(
        stream.buffer,
        encoding=stream.encoding,
        errors="replace",
        line_buffering=stream.line_buffering,
    )


@contextlib.contextmanager
def outlive_output() -> Iterator[None]:
    """Go on inside the block where standard output takes no more; said on standard error once."""
    stream = sys.stdout
    if not isinstance(stream, _Output):
        yield
        return
    stream.goes_on = True
    try:
        yield
    finally:
        stream.goes_on = False


def finish(status: int) -> int:
    """Hand on what was written; return the exit status, which a loss makes 1."""
    stream = sys.stdout
    if not isinstance(stream, _Output):
        return status
    try:
        stream.flush()
    except OutputError as error:
        sys.stderr.write(f"Error: {error}\n")
    except BrokenPipeError:
        return status
    lost = stream.lost is not None and not isinstance(stream.lost, BrokenPipeError)
    return 1 if lost and status == 0 else status
