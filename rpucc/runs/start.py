"""Starting a training: the machine, and the run folder that it leaves its files in.

For every command that trains. Not for the epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Any

from rpucc import portable
from rpucc.errors import CheckpointError
from rpucc.runs.admission import admit

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.record import Record
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine


def start(
    run: RunFolder,
    program: Program,
    record: Record,
    data: Dataset,
    *,
    command: str | None = None,
    trusted: bool = False,
    prepare: Callable[[Machine], None] | None = None,
) -> Machine:
    """Make the machine and then the run folder.

    trusted: the user gave --trust; prepare: what is done with the machine between them.
    """
    from rpucc.runtime.machine import Machine

    admit(program, record.model, trusted=trusted)
    machine = Machine(program, record.seed)
    if prepare is not None:
        prepare(machine)
    begin(run, machine, record, data, command=command)
    return machine


def begin(
    run: RunFolder,
    machine: Machine,
    record: Record,
    data: Dataset,
    *,
    command: str | None = None,
) -> None:
    """Make the run folder of a machine: from here on something is written.

    The checkpoint comes last: a folder that has one can be resumed.
    """
    from rpucc.outputs import make_folder
    from rpucc.runs.about import about
    from rpucc.runs.events import Event, append
    from rpucc.runtime.checkpoint_file import write_checkpoint

    _check_rates(machine, record)
    make_folder(run.path)
    run.tidy()
    run.clear()
    run.write_program(machine.program)
    run.write_record(record, about(command, data))
    run.write_calibration(calibration_records(machine))
    append(run.events, Event("started", command=command))
    write_checkpoint(machine.checkpoint(), machine.program, run.checkpoint)


def calibration_records(machine: Machine) -> list[dict[str, Any]]:
    """One record a zero-shifted layer."""
    return [{"layer": name, **found.record()} for name, found in machine.symmetry.items()]


def load_program(run: RunFolder) -> Program:
    """Read the program of a run folder."""
    from rpucc.program import Program

    return Program.load(run.program)


def resume(
    run: RunFolder,
    program: Program,
    record: Record,
    data: Dataset,
    *,
    command: str | None = None,
    trusted: bool = False,
    named: Collection[str] = (),
) -> Machine:
    """Load the machine of a run folder's checkpoint, and bring the other files in line with it.

    trusted, named: as `rpucc.runs.admission.admit`. Says on standard error, and in events.jsonl,
    where this process does not go on to the bits of one that never stopped. Raises CheckpointError
    where the data are not those that the training was started with, and where it is portable and
    this process is not, unless RPUCC_PORTABLE=0 says that it need not stay so.
    """
    from rpucc.runs.about import digest
    from rpucc.runs.events import Event, append
    from rpucc.runs.same_bits import elsewhere, is_portable
    from rpucc.runtime.checkpoint import load_checkpoint
    from rpucc.terminal import say

    admit(program, str(run.path), trusted=trusted, named=named)
    known = run.data_digest()
    if known is None:
        say(f"{run.path}: has no SHA-256 of its data: whether these are the same is not known")
    elif known != digest(data):
        raise CheckpointError(
            f"{run.path}: {record.data} is not what its training was started with (the SHA-256 of "
            "samples and labels is another); a resumed training needs the same data: --data-dir "
            "names another folder, train --from starts a new training from these weights"
        )
    lost = is_portable(run.made_with()) and not portable.asked()
    if lost and not portable.refused():
        raise CheckpointError(
            f"{run.path}: its training is portable: --portable goes on with the same bits, "
            "RPUCC_PORTABLE=0 in the environment without them"
        )
    machine = load_checkpoint(run.checkpoint, program)
    _check_rates(machine, record)
    if (line := elsewhere(run)) is not None:
        say(line)
    run.tidy()
    run.replace_record(record)
    if lost:
        run.write_machine(portable=False)
    run.write_metrics(machine.history)
    counters = machine.counters
    done = counters.epoch, counters.done
    append(run.events, Event("resumed", *done, command=command, reason=line))
    return machine


def _check_rates(machine: Machine, record: Record) -> None:
    """Hold that a training can work with its rates, before anything is written."""
    from rpucc.runtime.learning_rate import parse_schedule
    from rpucc.runtime.rates import check_schedule

    check_schedule(machine, parse_schedule(record.lr_schedule), record.lr, record.epochs)
