"""`rpucc eval --by-layer`: which layer on arrays costs accuracy.

Not for the measuring (rpucc.runtime.by_layer), nor for the words of the table.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.cli import options
from rpucc.cli.drawings import STANDARD_OUTPUT
from rpucc.errors import UsageError
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    import click

    from rpucc.compiler.options import CompileOptions
    from rpucc.program import Program
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.layer_effects import ByLayer
    from rpucc.runtime.machine import Machine

FIXED: dict[str, Any] = {
    "training": True,
    "class_weights": None,
    "label_smoothing": 0.0,
    "freeze": (),
}
"""What a compilation for --by-layer decides by itself."""
LAYERS_ONLY = ("target", *options.offered(**FIXED), "seed", "choose", "samples", "output", "csv")
"""Parameters that have an effect with --by-layer alone."""


@dataclass(frozen=True)
class Arguments:
    """The command's arguments."""

    model: str
    target: str
    compiling: CompileOptions
    program_path: str | None
    which: str | None
    seed: int
    trust: bool
    data: str | None
    data_dir: str | None
    batch_size: int | None
    threads: int
    samples: int | None
    choose: int
    output: str | None
    csv: str | None
    as_json: bool


def run_by_layer(ctx: click.Context, arguments: Arguments) -> None:
    """Do what the command says."""
    from rpucc.cli.source import say_clipped
    from rpucc.runs.trainer import make_trainer
    from rpucc.runtime.by_layer import by_layer
    from rpucc.terminal import status

    _check(arguments)
    program, machine, data = _found(ctx, arguments)
    if not machine.counters.sample:
        say_clipped(machine)
    trainer = make_trainer(machine, arguments.threads)
    with status("measuring each layer…"):
        found = by_layer(
            trainer,
            data,
            choose=arguments.choose,
            samples=arguments.samples,
            batch_size=arguments.batch_size,
        )
    _write(found, program, arguments)
    _show(found, machine, data, arguments)


def _check(arguments: Arguments) -> None:
    """Raise an error for what contradicts itself or cannot be written."""
    from rpucc.outputs import check_file

    if arguments.output is not None and not arguments.choose:
        raise UsageError("-o: writes what --choose N chooses; give both")
    if arguments.csv == STANDARD_OUTPUT and arguments.as_json:
        raise UsageError("--csv - and --json: both want standard output; give one of them a file")
    for name in (arguments.output, arguments.csv):
        if name is not None and name != STANDARD_OUTPUT:
            check_file(Path(name), arguments.model, arguments.target, arguments.compiling.plan)


def _found(ctx: click.Context, arguments: Arguments) -> tuple[Program, Machine, Dataset]:
    """Return the program, its machine and the data."""
    from rpucc.cli.machines import Named, find_machine
    from rpucc.runs.data import data_of, load_data, load_for
    from rpucc.runs.trained import find_trained
    from rpucc.runtime.data import load_dataset
    from rpucc.runtime.data.sizes import Sizes, filled

    trained = find_trained(arguments.model, arguments.program_path, arguments.which)
    spec, folder = arguments.data, arguments.data_dir
    if trained is not None:
        spec, folder = data_of(trained, arguments.data, arguments.data_dir)
    if spec is None:
        raise UsageError(f"--data: needed, because {arguments.model} is no run that names its data")
    known: str = spec

    def of_data(stated: Sizes) -> tuple[int, ...] | None:
        shape = load_dataset(known, None if folder is None else Path(folder)).sample_shape
        return filled(stated, shape) if isinstance(shape, tuple) else None

    program, machine = find_machine(ctx, Named.of(arguments), options.offered(**FIXED), of_data)
    if trained is None:
        return program, machine, load_data(known, folder, program)
    return program, machine, load_for(trained, known, folder, program)


def _write(found: ByLayer, program: Program, arguments: Arguments) -> None:
    """Write the files that were asked for."""
    import click

    from rpucc.outputs import write_text
    from rpucc.report.text.by_layer import as_csv
    from rpucc.target.write import as_toml
    from rpucc.terminal import say

    if arguments.output is not None:
        target = program.target.with_digital(kept.layer for kept in found.chosen)
        write_text(Path(arguments.output), as_toml(target))
        say(f"wrote {arguments.output}")
    if arguments.csv == STANDARD_OUTPUT:
        click.echo(as_csv(found), nl=False)
    elif arguments.csv is not None:
        write_text(Path(arguments.csv), as_csv(found))
        say(f"wrote {arguments.csv}")


def _show(found: ByLayer, machine: Machine, data: Dataset, arguments: Arguments) -> None:
    """Print the table, or JSON."""
    from rpucc.outputs import print_json
    from rpucc.report.text.by_layer import as_tables
    from rpucc.report.text.training import trained_text
    from rpucc.runs.admission import trust_flag
    from rpucc.terminal import say, show

    if arguments.as_json:
        about = {"model": arguments.model, "data": data.name, "epochs": machine.counters.epoch}
        print_json({**about, **found.to_dict()})
    elif arguments.csv != STANDARD_OUTPUT:
        state = trained_text(
            machine.counters.epoch, machine.counters.done, machine.counters.earlier
        )
        show(*as_tables(found, machine.program.name, data.name, state))
        if RunFolder(Path(arguments.model)).exists():
            words = ["rpucc", "report", arguments.model, "--by-layer"]
            words += [] if arguments.which is None else ["--checkpoint", arguments.which]
            say(f"as a picture: {shlex.join(words)}{trust_flag(machine.program)}")
