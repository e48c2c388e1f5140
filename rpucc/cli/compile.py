"""`rpucc compile`: an ONNX model onto a target's arrays, as a table and as a program file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc.cli import options
from rpucc.errors import InfeasibleError

if TYPE_CHECKING:
    from rpucc.compiler.options import CompileOptions
    from rpucc.passes.callbacks import Dump, Timing
    from rpucc.program import Program


@click.command("compile")
@click.argument("model")
@options.target
@options.compiling()
@click.option("-o", "--output", default=None, metavar="FILE.onnx", help="Write the program.")
@click.option("--time-passes", is_flag=True, help="Show how long each pass took.")
@click.option("--dump-passes", default=None, metavar="FOLDER", help="Write the model after each.")
@options.portable
@options.as_json
def compile_(**arguments: Any) -> None:
    """Lay an ONNX model out on a target's arrays.

    MODEL is an ONNX file, a .pt2 (PyTorch) or .keras file, or the name of a built-in model (rpucc
    models). Without -o the layout is shown and nothing is written.
    """
    _compile(Arguments(**arguments))


@dataclass(frozen=True)
class Arguments:
    """The command's arguments."""

    model: str
    target: str
    compiling: CompileOptions
    output: str | None
    time_passes: bool
    dump_passes: str | None
    as_json: bool


def _compile(arguments: Arguments) -> None:
    from rpucc.outputs import check_file, check_folder

    if arguments.output is not None:
        compiling = arguments.compiling
        read = (arguments.model, arguments.target, compiling.plan, str(compiling.loss))
        check_file(Path(arguments.output), *read)
    if arguments.dump_passes is not None:
        check_folder(Path(arguments.dump_passes))

    from rpucc.compiler.compile import compile_model
    from rpucc.passes.callbacks import Dump, Timing

    timing = Timing()
    dump = Dump(arguments.dump_passes) if arguments.dump_passes is not None else None
    try:
        program = compile_model(
            arguments.model,
            arguments.target,
            arguments.compiling,
            callbacks=[timing] if dump is None else [timing, dump],
        )
    except InfeasibleError as error:
        if arguments.as_json:
            from rpucc.outputs import print_json

            print_json({"infeasible": error.report.to_dict()})
        raise
    if arguments.output is not None:
        program.save(arguments.output)
    if arguments.as_json:
        _print_json(program, arguments, timing, dump)
    else:
        _show(program, arguments, timing, dump)


def _print_json(program: Program, arguments: Arguments, timing: Timing, dump: Dump | None) -> None:
    from rpucc.outputs import print_json
    from rpucc.report.text.program import describe

    result = {**describe(program), "verified": program.verified}
    result.update(verification=program.verification, output=arguments.output)
    if arguments.time_passes:
        result["pass_seconds"] = timing.seconds
    if dump is not None:
        result["dumps"] = [str(path) for path in dump.files]
    print_json(result)


def _show(program: Program, arguments: Arguments, timing: Timing, dump: Dump | None) -> None:
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import say, show

    show_plan(program)
    if arguments.time_passes:
        show("", lists.timings(timing.seconds))
    if dump is not None:
        say(f"dumped {len(dump.files)} stages to {dump.folder}")
    if arguments.output is not None:
        say(f"wrote {arguments.output}")


def show_plan(program: Program) -> None:
    """Print a program's title, layers and totals."""
    from rpucc.report.text.plan import layer_tables, totals
    from rpucc.report.text.program import title
    from rpucc.runtime.memory import state_bytes
    from rpucc.terminal import result_width, show

    plan = program.plan
    lines = [
        totals(
            plan,
            verification=program.verification,
            state_bytes=state_bytes(program),
            own_devices=program.own_devices,
        )
    ]
    show(title(program), "", *layer_tables(plan, result_width()), "", *lines)
