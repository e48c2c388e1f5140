"""Training as `train` and `demo` do it: kernels first, then epochs with a bar, rows and Ctrl-C.

Not for options and folders: those are the commands' own.
"""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli.streams import outlive_output
from rpucc.runtime.interrupt import status_of
from rpucc.runtime.watch import Watch
from rpucc.terminal import ProgressBar, say, show

if TYPE_CHECKING:
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import EpochMetrics, RunInfo
    from rpucc.runtime.trainer import Trainer
    from rpucc.runtime.verdict import Verdict
    from rpucc.runtime.watch import Stopped


@dataclass(frozen=True)
class Settings:
    """How to train."""

    epochs: int
    batch_size: int
    lr: float
    threads: int
    lr_schedule: str = "constant"
    augment: Sequence[str] = ()
    top_k: int | None = None
    quiet: bool = False
    """No rows on standard output: it gets JSON at the end."""
    watch: Watch = field(default_factory=Watch)
    keep: str = "last"
    tensorboard: bool = False

    @classmethod
    def of(cls, arguments: Any) -> Settings:
        """Take the settings from a command's arguments."""
        a = arguments
        return cls(
            a.epochs,
            a.batch_size,
            a.lr,
            a.threads,
            a.lr_schedule,
            augment=a.augment,
            top_k=a.top_k,
            quiet=a.as_json,
            watch=Watch(a.monitor, a.min_delta, a.patience),
            keep=a.keep,
            tensorboard=a.tensorboard,
        )


def train_into(
    run: RunFolder,
    machine: Machine,
    data: Dataset,
    settings: Settings,
    held: float | Dataset | None = None,
) -> Verdict:
    """Train a machine in a run folder, saying on standard error what is about to run.

    held: the validation samples, as `Trainer.fit` takes them. Returns what it came to, which is
    said there as well where it did not go well.
    """
    _announce(machine, data, settings, held)
    from rpucc.runs.trainer import make_trainer

    trainer = make_trainer(machine, settings.threads, settings.batch_size)
    train_epochs(trainer, data, settings, run, held)
    stopped = settings.watch.stopped(machine.history)
    if stopped is not None and machine.counters.epoch < settings.epochs:
        _say_stopped(stopped)
    return say_verdict(machine, data, settings.batch_size)


def say_verdict(machine: Machine, data: Dataset, batch_size: int) -> Verdict:
    """Return what a training came to; says on standard error where that is little, and why."""
    from rpucc.report.text.verdict import as_lines
    from rpucc.runtime.verdict import verdict

    found = verdict(machine, data, batch_size=batch_size)
    for line in as_lines(found):
        say(line)
    return found


def _say_stopped(stopped: Stopped) -> None:
    from rpucc.report.text.training import stopped_text

    say(f"{stopped_text(stopped)}; to go on, --resume with a larger --patience")


def _announce(
    machine: Machine, data: Dataset, settings: Settings, held: float | Dataset | None
) -> None:
    """Say on standard error what is about to run."""
    from rpucc.report.text.training import machine_line, symmetry_line
    from rpucc.runtime.spread import Symmetry
    from rpucc.runtime.validation import share_of

    done = machine.counters
    if done.epoch >= settings.epochs:
        say(f"{done.epoch} epochs are trained already; --epochs says how many in total")
    elif done.epoch or done.done:
        say(f"going on in epoch {done.epoch + 1} after {done.done:,} samples")
    elif not done.sample:
        made = machine_line(machine.programmed, machine.bytes_per_weight, machine.clipped_by_layer)
        show(made, stream=sys.stderr)
        if machine.symmetry:
            say(symmetry_line(sum(machine.symmetry.values(), start=Symmetry())))
    train, test, valid = len(data.y_train), len(data.y_test), 0
    if isinstance(held, float):
        valid = share_of(train, held, machine.program.fixed_batch or 1)
        train -= valid
    elif held is not None:
        valid = len(held.y_train) + len(held.y_test)
    validate = f"{valid:,} to validate, " if valid else ""
    say(f"{data.name}: {train:,} samples to train, {validate}{test:,} to test")


def train_epochs(
    trainer: Trainer,
    data: Dataset,
    settings: Settings,
    run: RunFolder | None = None,
    held: float | Dataset | None = None,
) -> list[EpochMetrics]:
    """Train with a bar on standard error and one row an epoch on standard output.

    run: gets metrics and a checkpoint after every epoch, and a checkpoint on Ctrl-C; held: the
    validation samples.
    """
    from rpucc.report.text.training import epoch_header, epoch_row, held_of
    from rpucc.runs.keeper import Keeper
    from rpucc.runs.trainer import note_not_held
    from rpucc.runtime.loggers.tensorboard import TensorBoardLogger
    from rpucc.runtime.metrics import EpochMetrics

    machine = trainer.machine
    watch = settings.watch
    column = held_of(watch.monitor, validated=held is not None)

    def on_row(metrics: EpochMetrics) -> None:
        click.echo(epoch_row(metrics, settings.epochs, column, settings.top_k))

    if run is not None:
        note_not_held(run, trainer)
    keeper = Keeper(run, machine) if run is not None else None
    with contextlib.ExitStack() as stack:
        stack.enter_context(_resumable(run, machine))
        if keeper is not None:
            stack.enter_context(keeper)
            stack.enter_context(outlive_output())
        bar = stack.enter_context(ProgressBar())
        goes_on = machine.counters.epoch < settings.epochs
        if not settings.quiet and goes_on and not settings.watch.stopped(machine.history):
            click.echo(epoch_header(settings.epochs, column, settings.top_k))
            for record in machine.history:
                on_row(EpochMetrics.from_record(record))

        curves = [TensorBoardLogger(run.curves)] if run is not None and settings.tensorboard else []

        def on_epoch(metrics: EpochMetrics) -> None:
            if not settings.quiet:
                on_row(metrics)
            if metrics.epoch == 1 < settings.epochs:
                _say_hint(machine, data, settings.batch_size)

        return trainer.fit(
            data,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            lr=settings.lr,
            lr_schedule=settings.lr_schedule,
            validation=held,
            stop_early=watch.patience,
            min_delta=watch.min_delta,
            monitor=watch.monitor,
            augment=settings.augment,
            top_k=settings.top_k,
            checkpoint=run.checkpoint if run is not None else None,
            keep=settings.keep,
            callbacks=[
                _Foresight(machine, data),
                bar,
                *([keeper] if keeper is not None else []),
                *curves,
                on_epoch,
            ],
        )


@dataclass(frozen=True)
class _Foresight:
    """Before the first step, says on standard error whether steps are too fine or too coarse."""

    machine: Machine
    data: Dataset

    def on_start(self, run: RunInfo) -> None:
        """Look at the updates of a few samples; the data have been checked."""
        from rpucc.report.text.verdict import foreseen
        from rpucc.runtime.step_causes import step_causes

        if self.machine.counters.epoch >= run.epochs:
            return
        if text := foreseen(step_causes(self.machine, self.data, run.lr, run.batch_size)):
            say(text)


def _say_hint(machine: Machine, data: Dataset, batch_size: int) -> None:
    """After the first epoch of several, say on standard error if it was in vain, and why."""
    from rpucc.report.text.verdict import hint
    from rpucc.runtime.verdict import verdict

    if text := hint(verdict(machine, data, batch_size=batch_size)):
        say(text)


# ---------------------------------------------------------------- Ctrl-C


@contextlib.contextmanager
def _resumable(run: RunFolder | None, machine: Machine) -> Iterator[None]:
    """After Ctrl-C, say where the checkpoint is and how to go on, and exit; without one, pass."""
    try:
        yield
    except KeyboardInterrupt as stop:
        if run is None:
            raise
        from rpucc.runs.admission import trust_flag

        folder = shlex.quote(str(run.path)) + trust_flag(machine.program)
        at = f"epoch {machine.counters.epoch + 1} after {machine.counters.done:,} samples"
        say(
            f"interrupted in {at}; checkpoint: {run.checkpoint}; go on with: "
            f"rpucc train {folder} --resume"
        )
        raise click.exceptions.Exit(status_of(stop)) from None
