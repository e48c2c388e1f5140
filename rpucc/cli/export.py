"""`rpucc export`: a run's trained weights in the model that they came from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options
from rpucc.errors import UsageError

if TYPE_CHECKING:
    from rpucc.origins.export import Export
    from rpucc.runs.trained import Trained
    from rpucc.runtime.machine import Machine

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Arguments:
    """The command's arguments."""

    run: str
    output: str | None
    torch: str | None
    measured: int | None
    program_path: str | None
    which: str | None
    threads: int
    trust: bool
    force: bool
    as_json: bool

    @property
    def files(self) -> list[Path]:
        """What is to be written."""
        return [Path(name) for name in (self.output, self.torch) if name is not None]


@click.command()
@click.argument("run")
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE",
    help="Write the model as ONNX: its graph, its names, the trained weights.",
)
@click.option(
    "--torch",
    default=None,
    metavar="FILE",
    help="Write the weights alone, under the model's names for them, as .safetensors.",
)
@click.option(
    "--measured",
    type=click.IntRange(2, limits.READS),
    default=None,
    metavar="N",
    help="Read the weights as a chip has to: least squares through N noisy reads of each.  "
    "[default: as they are]",
)
@options.program
@options.which_checkpoint
@options.threads
@options.portable
@options.trust
@click.option("--force", is_flag=True, help="Replace files that are there.")
@options.as_json
def export(**arguments: Any) -> None:
    """Write a run's trained weights into the model that they came from.

    RUN is a run folder of rpucc train, or a checkpoint in one. The model keeps its graph, its
    names, its batch norms and its biases, and computes what rpucc eval --ideal measures; that is
    checked with onnxruntime before anything is written.
    """
    _export(Arguments(**arguments))


def _export(arguments: Arguments) -> None:
    from rpucc.runs.trained import trained_run

    trained = trained_run(arguments.run, arguments.program_path, arguments.which)
    _check_files(arguments, trained)
    machine = trained.load_machine(trained.load_program(), trusted=arguments.trust)
    found = machine.export(measured=arguments.measured)
    proof = _proof(machine, found, arguments)
    for path in arguments.files:
        found.save(path)
    if arguments.as_json:
        _print_json(found, proof, arguments)
    else:
        _show(found, proof, machine, arguments)


def _check_files(arguments: Arguments, trained: Trained) -> None:
    """Raise an error for what cannot be written, or must not."""
    from rpucc.outputs import check_new

    if not arguments.files:
        raise UsageError("nothing to write: -o FILE.onnx, --torch FILE.safetensors, or both")
    if arguments.output is not None and arguments.output.endswith(SUFFIX):
        raise UsageError(f"-o {arguments.output}: writes ONNX; --torch writes {SUFFIX}")
    if arguments.torch is not None and not arguments.torch.endswith(SUFFIX):
        raise UsageError(f"--torch {arguments.torch}: writes a file whose name ends in {SUFFIX}")
    for path in arguments.files:
        check_new(path, trained.program, trained.checkpoint, force=arguments.force)


def _proof(machine: Machine, found: Export, arguments: Arguments) -> str:
    """Return what onnxruntime makes of the model beside the arrays; raises VerificationError."""
    from rpucc.compiler.check_export import check_export

    if arguments.measured is not None:
        return "not compared: measured weights are not those on the arrays"
    if found.averaged:
        return "not compared: copies of a weight were averaged"
    return check_export(machine, found, arguments.threads)


def _print_json(found: Export, proof: str, arguments: Arguments) -> None:
    from rpucc.outputs import print_json

    print_json(
        {
            "run": arguments.run,
            "output": arguments.output,
            "torch": arguments.torch,
            "measured": arguments.measured,
            "written": list(found.written),
            "standard_errors": dict(found.errors),
            "checked": proof,
            "notes": list(found.notes),
        }
    )


def _show(found: Export, proof: str, machine: Machine, arguments: Arguments) -> None:
    from rpucc.report.text.export import summary
    from rpucc.report.text.training import trained_text
    from rpucc.terminal import say, show

    state = trained_text(machine.counters.epoch, machine.counters.done, machine.counters.earlier)
    show(*summary(machine.program.name, state, found, proof))
    for path in arguments.files:
        say(f"wrote {path}")
