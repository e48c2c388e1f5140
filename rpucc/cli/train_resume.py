"""`rpucc train --resume`: a training goes on where its run folder stands.

What the user does not say again is taken from run.json; what a training was started with stays. Not
for another training from a run: that is train_from.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.cli import options
from rpucc.cli.train_arguments import FIXED, default_folder
from rpucc.errors import CheckpointError, UsageError
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    import click

    from rpucc.cli.train_arguments import Arguments

FREE = ("data_dir", "epochs", "threads", "patience", "keep", "tensorboard", "top_k")
"""What a resumed training may change: what the user does not say again is as run.json has it."""


def prepare(ctx: click.Context, arguments: Arguments) -> tuple[RunFolder, Arguments]:
    """Find the run folder, and take from its run.json what the user did not say again."""
    run = RunFolder(Path(arguments.model))
    if run.exists():
        if arguments.output is not None:
            raise UsageError(f"-o: {arguments.model} is the run folder already")
    else:
        run = _folder_to_resume(arguments)
    saved = saved_of(run)
    given = set(options.given(ctx, *FIXED, *FREE))
    wanted = arguments.record().values()
    for name in FIXED:
        if name in given and _plain(wanted[name]) != _plain(saved[name]):
            raise UsageError(
                f"{options.flag_of(ctx, name)}: {run.path} was started with "
                f"{_shown(saved[name])}, not {_shown(wanted[name])}; a resumed training keeps it"
            )
    kept = {name: saved[name] for name in (*FIXED, *FREE, "model", "origin") if name not in given}
    return run, arguments.with_record(kept)


def named(ctx: click.Context, arguments: Arguments) -> tuple[str, ...]:
    """Return the devices of a user's own that the command line names by itself."""
    if not options.given(ctx, "target", "plan", "overrides"):
        return ()
    return arguments.compiling.applied_to(arguments.target).own_devices


def _folder_to_resume(arguments: Arguments) -> RunFolder:
    from rpucc.cli.source import load_compiled

    if arguments.output is not None:
        run = RunFolder(Path(arguments.output))
    else:
        program = load_compiled(arguments.model)
        target = (
            program.target
            if program is not None
            else arguments.compiling.applied_to(arguments.target)
        )
        run = RunFolder(default_folder(arguments, target.name))
    if not run.exists():
        raise CheckpointError(f"{run.path}: nothing to resume, no such run folder")
    return run


def saved_of(run: RunFolder) -> dict[str, Any]:
    """Return the arguments in run.json; raises CheckpointError where they are not whole."""
    from rpucc.outputs import check_folder

    if not run.checkpoint.is_file():
        raise CheckpointError(
            f"{run.path}: nothing to resume, its training was stopped before the first "
            "checkpoint; start it again without --resume"
        )
    check_folder(run.path)
    return run.read_record().values()


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: object) -> str:
    if isinstance(value, list | tuple):
        return " ".join(map(str, value)) or "none"
    return "the default" if value is None else str(value)
