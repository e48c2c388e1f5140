"""`rpucc run`: inference on the arrays, for inputs from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rpucc.compiler.options import CompileOptions
    from rpucc.program import Program
    from rpucc.runtime.data.run_inputs import RunInputs
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer

    Array = NDArray[Any]

FIXED: dict[str, Any] = {"training": False, "loss": "auto"}
"""What a compilation for inference decides by itself."""


@dataclass(frozen=True)
class Arguments:
    """The command's arguments."""

    model: str
    inputs: str
    target: str
    compiling: CompileOptions
    program_path: str | None
    which: str | None
    seed: int
    batch_size: int | None
    threads: int
    trust: bool
    output: str | None
    as_json: bool


@click.command()
@click.argument("model")
@click.argument("inputs", metavar="INPUT")
@options.target
@options.compiling(**FIXED)
@options.program
@options.which_checkpoint
@options.seed
@options.eval_batch_size
@options.threads
@options.portable
@options.trust
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE",
    help="Write all outputs: by name as .npz, or the only one as .npy.",
)
@options.as_json
@click.pass_context
def run(ctx: click.Context, /, **arguments: Any) -> None:
    """Classify inputs from files: arrays, images, data sets.

    MODEL is a run folder of rpucc train, a checkpoint in one, a program of rpucc compile, an ONNX
    file or the name of a built-in model (their weights as they are, programmed onto the target's
    arrays). INPUT is an .npy file, a .png or .jpg image, a folder of images, or a data set as
    --data of rpucc train takes it, of which the test part is taken; with labels the error is
    given. The score is the softmax of the outputs, or the output itself where the model ends in
    probabilities.
    """
    _run(ctx, Arguments(**arguments))


def _run(ctx: click.Context, arguments: Arguments) -> None:
    from rpucc.cli.run_outputs import outputs_to_compute, say_outputs, write_outputs
    from rpucc.cli.source import say_clipped
    from rpucc.outputs import check_file
    from rpucc.report.units import counted
    from rpucc.runs.data import sample_shapes
    from rpucc.runs.trainer import make_trainer
    from rpucc.runtime.data import load_run_inputs
    from rpucc.terminal import say

    if arguments.output is not None:
        reads = (arguments.model, arguments.inputs, arguments.target, arguments.compiling.plan)
        check_file(Path(arguments.output), *reads)
    program, machine = _find_machine(ctx, arguments)
    found = load_run_inputs(arguments.inputs, sample_shapes(program), program.input_range, say)
    if found.part:
        say(f"{arguments.inputs}: {found.part} ({counted(found.samples, 'sample')})")
    if not machine.counters.sample:  # as they were programmed
        say_clipped(machine)
    names = outputs_to_compute(program, arguments.output, arguments.as_json)
    trainer = make_trainer(machine, arguments.threads)
    results = trainer.outputs(found.x, names, arguments.batch_size)
    outputs = results[program.output]
    error = _error(trainer, outputs, found, arguments)
    if arguments.output is not None:
        write_outputs(Path(arguments.output), results)
    if arguments.as_json:
        _print_json(arguments, results, error)
    else:
        _show(outputs, error)
        say_outputs(program, results, arguments.output)


def _error(
    trainer: Trainer, outputs: NDArray[np.float32], found: RunInputs, arguments: Arguments
) -> float | None:
    """Return the share of wrong classes; None where there are no labels of classes."""
    from rpucc.errors import DataError
    from rpucc.runs.trained import find_trained
    from rpucc.runtime.data.class_names import in_numbers_of
    from rpucc.terminal import say

    labels = found.labels
    if labels is None:
        return None
    trained = find_trained(arguments.model, arguments.program_path)
    known = () if trained is None or trained.run is None else trained.run.data_classes()
    try:
        if known and found.class_names:
            labels = in_numbers_of(labels, found.class_names, known, arguments.inputs)
        return trainer.error(outputs, labels)
    except DataError as error:  # the outputs are what was asked for
        say(f"no error is given: {error}")
        return None


def _find_machine(ctx: click.Context, arguments: Arguments) -> tuple[Program, Machine]:
    """Load or compile what MODEL names, and put it on arrays."""
    from rpucc.cli.machines import Named, find_machine
    from rpucc.runtime.data.sizes import filled_by_inputs

    return find_machine(
        ctx,
        Named.of(arguments),
        options.offered(**FIXED),
        lambda stated: filled_by_inputs(stated, arguments.inputs),
    )


# ---------------------------------------------------------------- results


def _print_json(arguments: Arguments, found: dict[str, NDArray[Any]], error: float | None) -> None:
    from rpucc.outputs import print_json

    outputs = next(iter(found.values()))
    result: dict[str, Any] = {
        "model": arguments.model,
        "input": arguments.inputs,
        "output": arguments.output,
        "shape": list(outputs.shape),
    }
    if error is not None:
        result["error"] = error
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        result["predictions"] = [
            {"input": i, "class": best, "score": score} for i, best, score, _, _ in _ranked(outputs)
        ]
    if len(found) > 1:
        result["shapes"] = {name: list(array.shape) for name, array in found.items()}
    if arguments.output is None:
        values = {name: array.tolist() for name, array in found.items()}
        result["outputs"] = values if len(found) > 1 else outputs.tolist()
    print_json(result)


def _show(outputs: NDArray[np.float32], error: float | None) -> None:
    from rpucc.report import units
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    if outputs.ndim == 2 and outputs.shape[1] > 1:
        show(lists.predictions(_ranked(outputs)))
    elif outputs.ndim == 2:
        for value in outputs[:, 0]:
            click.echo(f"{value:.6g}")
    if error is not None:
        click.echo(f"error {units.percent(error)}")


def _ranked(outputs: NDArray[np.float32]) -> list[tuple[int, int, float, int | None, float]]:
    """Return, for every input, the class of the largest output, its score, and the runner-up."""
    import numpy as np

    from rpucc.runtime.answers import scores

    found = scores(outputs)
    order = np.argsort(-found, axis=1, kind="stable")[:, :2]
    return [
        (i, int(a), float(found[i, a]), int(b), float(found[i, b]))
        for i, (a, b) in enumerate(order)
    ]
