"""`rpucc train --from`: another training from the weights and devices of a run.

The run's program and seed stay, so that its devices do; epochs are counted anew, random draws go
on where the run stopped. Not for going on with the same training: that is --resume.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.cli import options
from rpucc.cli.train_arguments import COMPILING, RECORDED
from rpucc.errors import CheckpointError, UsageError
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    import click

    from rpucc.cli.train_arguments import Arguments
    from rpucc.runs.trained import Trained
    from rpucc.runtime.machine import Machine

GOING_ON = ("data", "batch_size")
"""What the new training takes from the run where the user does not say it."""


def prepare(ctx: click.Context, arguments: Arguments) -> tuple[RunFolder, Arguments, Machine]:
    """Load the run that is started from, and choose what the new one does; writes nothing."""
    from rpucc.report.text.training import trained_text
    from rpucc.runs.trained import find_trained
    from rpucc.terminal import say

    source = find_trained(str(arguments.from_run))
    if source is None:
        raise CheckpointError(
            f"--from {arguments.from_run}: no such run folder or checkpoint (.safetensors)"
        )
    run = _new_folder(ctx, arguments, source)
    machine = source.load_machine(source.load_program(), trusted=arguments.trust)
    _refuse_other_devices(ctx, arguments, machine)
    done = machine.counters
    say(
        f"from {arguments.from_run}: its weights and devices "
        f"{trained_text(done.epoch, done.done, done.earlier)}; epochs are counted anew"
    )
    arguments = _completed(ctx, arguments, source, machine)
    machine.begin_anew()
    return run, arguments, machine


def _new_folder(ctx: click.Context, arguments: Arguments, source: Trained) -> RunFolder:
    """Return the folder of the new run; raises UsageError for what contradicts --from."""
    from rpucc.cli.source import refuse_options

    if arguments.model is not None:
        raise UsageError(f"{arguments.model}: no model is needed beside --from, which has its own")
    if arguments.resume:
        raise UsageError("--from and --resume: --resume goes on in the run's own folder, alone")
    flags = [options.flag_of(ctx, name) for name in options.given(ctx, *COMPILING)]
    refuse_options(flags, f"--from {arguments.from_run}, whose arrays are made already")
    if arguments.output is None:
        raise UsageError("--from: needs a folder for the new run, -o FOLDER")
    run = RunFolder(Path(arguments.output))
    if run.path.resolve() == source.checkpoint.parent.resolve():
        raise UsageError(f"-o {arguments.output}: is the run that --from starts from; name another")
    run.check(force=arguments.force)
    return run


def _refuse_other_devices(ctx: click.Context, arguments: Arguments, machine: Machine) -> None:
    if options.given(ctx, "seed") and arguments.seed != machine.seed:
        raise UsageError(
            f"--seed {arguments.seed}: {arguments.from_run} has the devices of seed "
            f"{machine.seed}, and its weights are on them; leave it out"
        )


def _completed(
    ctx: click.Context, arguments: Arguments, source: Trained, machine: Machine
) -> Arguments:
    """Return the arguments with what the run says where the user does not.

    The rate is that of the run's last epoch, and stays so unless a schedule is given.
    """
    given = set(options.given(ctx, *GOING_ON, "data_dir", "lr"))
    if "data" in given:
        given.add("data_dir")  # that of the run's data
    # The new run.json says of the program what that of the run says.
    wanted = ["model", *RECORDED, *(n for n in (*GOING_ON, "data_dir") if n not in given)]
    kept: dict[str, Any] = {}
    if source.run is not None and source.run.record.is_file():
        there = source.run.read_record().values()
        kept = {name: there[name] for name in wanted}
    kept.setdefault("model", str(source.program))
    if "lr" not in given and (rate := last_rate(machine)) is not None:
        kept["lr"] = rate
    origin = origin_of(Path(str(arguments.from_run)), machine)
    return replace(arguments.with_record(kept), seed=machine.seed, origin=origin)


def last_rate(machine: Machine) -> float | None:
    """Return the rate of the last epoch; None where none is complete."""
    rate: float | None = machine.history[-1].get("lr") if machine.history else None
    return rate or None


def origin_of(run: Path, machine: Machine) -> dict[str, Any]:
    """Return what run.json says of the run that a machine comes from, as it stands there."""
    counters = machine.counters
    return {"run": str(run.resolve()), "epochs": counters.epoch, "samples": counters.sample}
