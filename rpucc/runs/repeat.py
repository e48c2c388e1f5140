"""The command that trains a run again, from what run.json says of it.

Not for the command as it was typed, which run.json has beside it: that leaves out defaults, which
may change, and may have been a --resume.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

from rpucc.compiler.options import FLAGS, RECORDED, CompileOptions, Flag
from rpucc.runs.record import Record

NO_OPTION = ("rpucc", "model", "compiling", "origin", "threads")
"""Fields of a record that are no option of `rpucc train`, or none that changes a number."""
OF_THE_RUN = ("target", "seed")
"""Options that a training does not take where it starts from another run."""


def repeat_command(record: Record, folder: str, *, portable: bool) -> str:
    """Return a line for a shell that trains the same again, into a new folder beside the run's.

    portable: whether the run was.
    """
    words = ["rpucc", "train"]
    if record.origin is None:
        words += [record.model, *_compiling(record)]
    else:
        words += ["--from", str(record.origin.get("run", ""))]
    words += [*_options(record), *(["--portable"] if portable else []), "-o", f"{folder}-again"]
    return shlex.join(words)


def _compiling(record: Record) -> Iterator[str]:
    """Yield the options of the compilation that are not at their defaults."""
    for name in RECORDED:
        value = getattr(record.compiling, name)
        if not value or value == getattr(CompileOptions(), name):
            continue
        flag = FLAGS[name]
        for each in value if flag.form == "texts" else [value]:
            yield from (flag.names, *_written(flag, each))


def _written(flag: Flag, value: Any) -> list[str]:
    """Return the words of one value."""
    if not isinstance(value, list | tuple):
        return [str(value)]
    words = [str(number) for number in value]
    return words if flag.form == "interval" else [",".join(words)]


def _options(record: Record) -> Iterator[str]:
    """Yield all other options; of those that earlier versions did not know, what is set."""
    for name, field in type(record).model_fields.items():
        value: Any = getattr(record, name)
        left_out = name in NO_OPTION or (record.origin is not None and name in OF_THE_RUN)
        if left_out or value is None or (not field.is_required() and field.default == value):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            yield flag
            continue
        for each in value if isinstance(value, list | tuple) else [value]:
            yield from (flag, str(each))
