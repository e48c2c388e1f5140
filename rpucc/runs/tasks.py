"""Trainings as tasks: run folders of experiments, what they hold, and training one to its end.

A run folder of an experiment is an ordinary one, with configuration.json beside: what determines
its numbers, the digest of its data included. Not for which runs an experiment wants nor for tables:
those are experiment_plan.py and rpucc.report.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import portable
from rpucc.errors import CheckpointError, ModelError, RpuccError
from rpucc.run_files import CONFIGURATION
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    from rpucc.experiments.outcome import Run
    from rpucc.runs.record import Record
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.target.target import Target


@dataclass(frozen=True)
class Task:
    """A run to train to its end: plain data, so that it can go to another process or machine."""

    title: str
    """What messages call it."""
    folder: str
    model: str
    target: str
    overrides: tuple[str, ...]
    data: str
    data_dir: str | None
    epochs: int
    batch_size: int
    lr: float
    lr_schedule: str
    seed: int
    trust: bool
    """Whether devices may be imported that only the experiment names."""
    configuration: dict[str, Any]
    portable: bool
    """Whether the process that trains it has to be, wherever that is."""


# ---------------------------------------------------------------- training


def train_tasks(tasks: Sequence[Task], jobs: int) -> list[str]:
    """Train runs, `jobs` at a time; return a message for each that failed.

    Several go through joblib, in processes of this machine or on whatever backend
    `joblib.parallel_config` has chosen.
    """
    if jobs == 1 or len(tasks) < 2:
        return [error for task in tasks if (error := attempt(task, alone=True))]
    from joblib import Parallel, delayed

    errors = Parallel(n_jobs=jobs, batch_size=1)(delayed(attempt)(task) for task in tasks)
    return [error for error in errors if error]


def attempt(task: Task, *, alone: bool = False) -> str:
    """Train a run to its end; return "" or why that failed. alone: it may draw a bar."""
    from rpucc.report.units import counted
    from rpucc.terminal import say

    try:
        error = train_task(task, bar=alone)
    except RpuccError as failure:
        return f"{task.title}: {'; '.join(failure.args)}"
    say(f"{task.title}: test error {error:.2f} % after {counted(task.epochs, 'epoch')}")
    return ""


def train_task(task: Task, *, bar: bool) -> float:
    """Train a run from where it stands to its end; returns its last test error in percent.

    A checkpoint is written after every epoch, and where Ctrl-C comes first.
    """
    if task.portable:
        portable.ask()
    run = RunFolder(Path(task.folder))
    with run.held():
        return _train_in(run, task, bar=bar)


def _train_in(run: RunFolder, task: Task, *, bar: bool) -> float:
    from rpucc.report.units import counted
    from rpucc.runs.keeper import Keeper
    from rpucc.runs.trainer import make_trainer, note_not_held
    from rpucc.terminal import ProgressBar, say

    machine, data = _machine(run, task)
    trainer = make_trainer(machine, 1, task.batch_size)
    if done := machine.counters.epoch:
        say(f"{task.title}: goes on after {counted(done, 'epoch')}")
    note_not_held(run, trainer)
    keeper = Keeper(run, machine)
    with ProgressBar() as shown, keeper:
        trainer.fit(
            data,
            epochs=task.epochs,
            batch_size=task.batch_size,
            lr=task.lr,
            lr_schedule=task.lr_schedule,
            checkpoint=run.checkpoint,
            callbacks=[keeper, *([shown] if bar else [])],
        )
    return 100 * float(machine.history[task.epochs - 1]["test_error"])


def _machine(run: RunFolder, task: Task) -> tuple[Machine, Dataset]:
    """Load what a checkpoint holds, or compile and start; the folder is in order afterwards."""
    from rpucc.compiler.compile import compile_model
    from rpucc.outputs import to_json, write_text
    from rpucc.runs.data import load_data
    from rpucc.runs.start import load_program, resume, start
    from rpucc.trust import Trust

    record = _record(task)
    if run.checkpoint.is_file():
        program = load_program(run)
        data = load_data(task.data, task.data_dir, program)
        return resume(run, program, record, data, trusted=task.trust), data
    program = compile_model(task.model, task.target, record.compiling)
    program.trust = Trust(folders=program.trust.folders)  # its target is named by the experiment
    data = load_data(task.data, task.data_dir, program)
    machine = start(run, program, record, data, trusted=task.trust)
    write_text(run.path / CONFIGURATION, to_json(task.configuration) + "\n")
    return machine, data


def _record(task: Task) -> Record:
    """Return what `rpucc train` would have kept."""
    from rpucc.compiler.options import CompileOptions
    from rpucc.runs.record import Record

    return Record(
        model=task.model,
        target=task.target,
        compiling=CompileOptions(overrides=task.overrides),
        data=task.data,
        data_dir=task.data_dir,
        epochs=task.epochs,
        batch_size=task.batch_size,
        lr=task.lr,
        lr_schedule=task.lr_schedule,
        seed=task.seed,
        threads=1,
    )


# ---------------------------------------------------------------- what folders hold


def run_folders(place: Path) -> Iterator[RunFolder]:
    """Yield the run folder at `place`, or those in it; half-made ones are left out."""
    here = [place, *(sorted(place.iterdir()) if place.is_dir() else ())]
    yield from (run for run in map(RunFolder, here) if run.record.is_file())


def read_run(folder: RunFolder) -> Run:
    """Return what a run folder says of its training.

    The configuration comes from configuration.json, else from the program, run.json and the data
    that it names. Raises RpuccError where a file is missing or damaged.
    """
    from rpucc.experiments.outcome import Run

    record = folder.read_record()
    if record.origin is not None:
        raise CheckpointError(f"{folder.path}: starts from another run (--from), not from a model")
    configuration = _stored_configuration(folder) or _derived_configuration(folder, record)
    epochs = tuple(_epochs(folder))
    return Run(configuration, record.seed, epochs, record.rpucc, folder.made_with())


def _epochs(folder: RunFolder) -> list[dict[str, float]]:
    from rpucc.checked import read_text, table_rows
    from rpucc.experiments.store_schema import checked_epochs

    try:
        text = read_text(folder.metrics) if folder.metrics.is_file() else ""
        return checked_epochs(list(table_rows(text)))
    except ValueError as error:
        raise CheckpointError(f"{folder.metrics}: is damaged: {error}") from None


def _stored_configuration(folder: RunFolder) -> dict[str, Any] | None:
    from rpucc.checked import read_text
    from rpucc.experiments.store_schema import checked_configuration

    path = folder.path / CONFIGURATION
    if not path.is_file():
        return None
    try:
        return checked_configuration(read_text(path))
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged ({error}); remove it") from None


def _derived_configuration(folder: RunFolder, record: Record) -> dict[str, Any]:
    from rpucc.experiments.configuration import configuration

    digest = digest_of(record.data, record.data_dir)
    return configuration(record.values(), _target_of(folder.program), digest)


def _target_of(path: Path) -> Target:
    """Return a program's target; also of one that an earlier rpucc compiled."""
    import onnx

    from rpucc.target.target import Target

    try:
        model = onnx.load(path, load_external_data=False)
    except Exception as error:  # protobuf and onnx raise many unrelated classes
        raise ModelError(f"{path}: cannot be read as ONNX ({type(error).__name__})") from error
    notes = {entry.key: entry.value for entry in model.metadata_props}
    if "rpucc.target" not in notes:
        raise ModelError(f"{path}: no program of rpucc")
    return Target.from_json(notes["rpucc.target"], f"the target of {path}")


@lru_cache(maxsize=16)
def digest_of(data: str, data_dir: str | None) -> str:
    """Return the digest of a data set; downloads it where it has to. Raises DataError."""
    import numpy as np

    from rpucc.experiments.configuration import data_digest
    from rpucc.runtime.data import load_dataset

    found = load_dataset(data, Path(data_dir) if data_dir is not None else None)
    x_train, x_test = (  # grey images count as [n, 1, H, W], as they were in earlier results
        x[:, None] if x.ndim == 3 else x for x in map(np.asarray, (found.x_train, found.x_test))
    )
    return data_digest(x_train, found.y_train, x_test, found.y_test)
