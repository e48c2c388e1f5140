"""`rpucc eval`: the error of a trained network on the test part of a data set."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from rpucc.cli import options
from rpucc.errors import CheckpointError, ModelError, UsageError

if TYPE_CHECKING:
    from rpucc.runs.trained import Trained


@click.command("eval")
@click.argument("run")
@options.program
@options.which_checkpoint
@click.option(
    "--data",
    default=None,
    metavar="DATA",
    help="What --data of rpucc train takes.  [default: the data it was trained on]",
)
@options.data_dir
@click.option(
    "--ideal",
    is_flag=True,
    help="Read the weights as they are, without noise, bounds and converters: what rpucc export "
    "writes computes the same.",
)
@options.eval_batch_size
@options.top_k
@options.threads
@options.trust
@options.as_json
def evaluate(
    run: str,
    program_path: str | None,
    which: str | None,
    data: str | None,
    data_dir: str | None,
    ideal: bool,
    batch_size: int | None,
    top_k: int | None,
    threads: int,
    trust: bool,
    as_json: bool,
) -> None:
    """Measure a trained network's error on test data.

    RUN is a run folder of rpucc train, or a checkpoint in one.
    """
    from rpucc.runs.data import load_data
    from rpucc.runs.trained import find_trained
    from rpucc.runs.trainer import make_trainer

    trained = find_trained(run, program_path, which)
    if trained is None:
        raise CheckpointError(
            f"{run}: no such run folder or checkpoint (.safetensors); rpucc train makes one"
        )
    program = trained.load_program()
    if not program.training:
        raise ModelError(
            f"{trained.program}: was compiled for inference and has no loss to measure"
        )
    spec, folder = data_of(trained, data, data_dir)
    classes = trained.run.data_classes() if trained.run is not None else ()
    found = load_data(spec, folder, program, classes)
    machine = trained.load_machine(program, trusted=trust)
    trainer = make_trainer(machine, threads)
    result = trainer.evaluate(found, batch_size=batch_size, ideal=ideal, top_k=top_k)
    if as_json:
        from rpucc.outputs import print_json

        epochs = machine.counters.epoch
        checkpoint = str(trained.checkpoint)
        figures = asdict(result)
        if top_k is None:
            del figures["top_k"], figures["top_k_error"]
        where = {"checkpoint": checkpoint, "data": spec, "epochs": epochs, "ideal": ideal}
        print_json({**where, **figures})
        return
    from rpucc.report.text import training
    from rpucc.report.text.tables import heading
    from rpucc.terminal import show

    state = training.trained_text(machine.counters.epoch, machine.counters.done)
    read = ", ideal reads" if ideal else ""
    title = f" on {found.name}: {result.samples:,} test samples, {state}{read}"
    show(
        heading(program.name, title),
        "",
        training.evaluation(result),
    )


def data_of(trained: Trained, data: str | None, data_dir: str | None) -> tuple[str, str | None]:
    """Return the data set to use and its folder: what the user said, else what run.json says."""
    if data is not None:
        return data, data_dir
    if trained.run is None or not trained.run.record.is_file():
        raise UsageError("--data: needed, because no run.json beside the checkpoint names the data")
    saved = trained.run.read_record()
    return saved.data, data_dir or saved.data_dir
