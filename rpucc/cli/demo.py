"""`rpucc demo`: the whole path on built-in data, from ONNX to a network trained in situ."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from rpucc.cli import options

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

MODEL, TARGET, DATA = "lenet", "rpu-managed", "mnist-mini"
BATCH_SIZE, LR = 1, 0.01


@click.command()
@options.epochs
@options.seed
@options.threads
@options.portable
@click.option("-o", "--output", default=None, metavar="FOLDER", help="Keep it as a run folder.")
@click.option("--force", is_flag=True, help="Replace a training that the run folder holds.")
def demo(epochs: int, seed: int, threads: int, output: str | None, force: bool) -> None:
    """Compile and train a LeNet on built-in data: the whole path.

    Takes about half a minute, and leaves nothing behind without -o.
    """
    from rpucc.cli import training
    from rpucc.cli.compile import show_plan
    from rpucc.report.text.tables import heading
    from rpucc.runs.data import load_data
    from rpucc.runs.folder import RunFolder
    from rpucc.runs.trainer import make_trainer
    from rpucc.terminal import show

    run = RunFolder(Path(output)) if output is not None else None
    if run is not None:
        run.check(force=force)
    from rpucc.compiler.compile import compile_model
    from rpucc.runtime.machine import Machine

    show(heading("1. Compile", f": {MODEL}, an ONNX network, for the arrays of {TARGET}"), "")
    program = compile_model(MODEL, TARGET)
    show_plan(program)
    data = load_data(DATA, None, program)
    if run is not None:
        machine = _start(run, program, data, epochs, seed, threads)
    else:
        machine = Machine(program, seed)
    what = f": {len(data.y_train):,} digits, one at a time, by pulses on simulated devices"
    show("", heading("2. Train in situ", what), "")
    settings = training.Settings(epochs, BATCH_SIZE, LR, threads)
    trainer = make_trainer(machine, threads, BATCH_SIZE)
    training.train_epochs(trainer, data, settings, run)
    training.say_verdict(machine, data, BATCH_SIZE)
    show("", heading("3. Evaluate", f": {len(data.y_test):,} digits it has not seen"), "")
    _evaluate(trainer, data)
    show("", *_next_steps(run))


def _start(
    run: RunFolder, program: Program, data: Dataset, epochs: int, seed: int, threads: int
) -> Machine:
    """Make the run folder as `rpucc train` would, so that it can be resumed."""
    from rpucc.cli.train_arguments import typed
    from rpucc.compiler.options import CompileOptions
    from rpucc.runs.record import Record
    from rpucc.runs.start import start

    record = Record(
        model=MODEL,
        target=TARGET,
        compiling=CompileOptions(),
        data=DATA,
        data_dir=None,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        lr=LR,
        seed=seed,
        threads=threads,
    )
    click.get_current_context().with_resource(run.held())
    return start(run, program, record, data, command=typed())


def _evaluate(trainer: Trainer, data: Dataset) -> None:
    from rpucc.report.text import training
    from rpucc.terminal import show

    show(training.evaluation(trainer.evaluate(data)))


def _next_steps(run: RunFolder | None) -> list[str]:
    steps = [
        "Try next:",
        "  rpucc compile your_model.onnx                  your own network on the same arrays",
        f"  rpucc train {MODEL} -t rpu-baseline              without noise and bound management",
        f"  rpucc train {MODEL} -t rpu-managed-um            update management, one pulse slot",
        f"  rpucc train {MODEL} --data mnist --epochs 30     all 60,000 digits, as in the paper",
    ]
    if run is not None:
        steps.append(f"  rpucc inspect {shlex.quote(str(run.path))}")
    return steps
