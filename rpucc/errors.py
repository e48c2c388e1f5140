"""Errors that a user can act on.

Every message is one line that says where (file, node, op, key), which rule, what was found and
what would help. The CLI prints the message and exits with `exit_code`; no traceback reaches a
user without `--debug`. Not for bugs: those stay ordinary Python exceptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpucc.placement.infeasible import Infeasible


class RpuccError(Exception):
    """Base of all errors that rpucc raises on purpose; `exit_code` is the CLI's exit status.

    Several problems of one file are several arguments, a line each.
    """

    exit_code = 1

    def __str__(self) -> str:
        return "\n".join(map(str, self.args))


class ModelError(RpuccError):
    """The ONNX model cannot be read, is invalid, or holds something rpucc cannot lower."""

    def name_model(self, label: str) -> None:
        """Begin the message with the model's file or name; passes know only its nodes."""
        if not str(self).startswith(label):
            self.args = (f"{label}: {self}",)


class VersionError(ModelError):
    """The program is of another version of the rpu operators than this rpucc reads."""


class UnsupportedError(ModelError):
    """The model is valid ONNX, but an op, attribute or shape in it is not supported."""


class TargetError(RpuccError):
    """A target file or a `--set` has a wrong key, type or range."""


class InfeasibleError(RpuccError):
    """The network needs more arrays than the target has; `report` has the details."""

    def __init__(self, message: str, report: Infeasible) -> None:
        super().__init__(message)
        self.report = report
        """What is short, what each layer takes, and what would make it fit."""


class ExperimentError(RpuccError):
    """An experiment is unknown, its file is wrong, or its stored results are damaged."""


class DataError(RpuccError):
    """A data set cannot be found or read, or does not fit the model."""


class DataWarning(UserWarning):
    """A choice about data that the data themselves do not settle; the CLI says it in a line."""


class CheckpointError(RpuccError):
    """A checkpoint cannot be read or does not fit the program."""


class OutputError(RpuccError):
    """An output file or folder cannot be written."""


class UsageError(RpuccError):
    """The command's arguments contradict each other."""

    exit_code = 2


class ArgumentError(UsageError, TypeError, ValueError):
    """An argument of a Python call has a type or a value that is not allowed.

    It is a TypeError and a ValueError too, so that code which expects one of those catches it.
    """


class VerificationError(RpuccError):
    """Two programs that should compute the same do not."""

    exit_code = 3


class PassError(RpuccError):
    """A pass of a user's own raises, returns what it must not, or leaves a broken program."""


class UnverifiableError(RpuccError):
    """A model cannot be run for a comparison; `reason` says why, without saying where."""

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.reason = reason


def one_line(text: object) -> str:
    """Fold what may hold line breaks or control characters into one printable line."""
    line = " ".join(str(text).split())
    line = "".join(c if c.isprintable() else "?" for c in line)
    return line if len(line) <= 300 else line[:297] + "..."
