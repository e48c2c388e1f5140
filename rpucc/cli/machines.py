"""A machine by what a user calls it: a run, a checkpoint, a program, or a model to compile.

Not for the names themselves (`source.py`), nor for what is done with the machine.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from rpucc.cli import options
from rpucc.cli.source import (
    load_compiled,
    refuse_options,
    say_notes,
    say_untrained,
    shape_from,
)

if TYPE_CHECKING:
    import click

    from rpucc.compiler.options import CompileOptions, ShapeOf
    from rpucc.program import Program
    from rpucc.runtime.machine import Machine


@dataclass(frozen=True)
class Named:
    """A machine's name, and the options that say how it is made or found."""

    model: str
    target: str
    compiling: CompileOptions
    program_path: str | None
    which: str | None
    seed: int
    trust: bool

    @classmethod
    def of(cls, arguments: Any) -> Named:
        """Take them from a command's arguments, which have more."""
        return cls(*(getattr(arguments, each.name) for each in fields(cls)))


def find_machine(
    ctx: click.Context, named: Named, compiles: tuple[str, ...], shape: ShapeOf
) -> tuple[Program, Machine]:
    """Load or compile what MODEL names, and put it on arrays.

    compiles: the options of a compilation that the command offers; shape: the sizes that the data
    give an input whose sizes the model leaves open. Raises UsageError for options that have no
    effect on what is made already.
    """
    from rpucc.runs.admission import admit
    from rpucc.runs.trained import find_trained
    from rpucc.runtime.machine import Machine

    trained = find_trained(named.model, named.program_path, named.which)
    flags = [options.flag_of(ctx, name) for name in options.given(ctx, "target", *compiles)]
    if trained is not None:
        flags += [options.flag_of(ctx, name) for name in options.given(ctx, "seed")]
        refuse_options(flags, f"{named.model}, whose arrays are made already")
        program = trained.load_program()
        return program, trained.load_machine(program, trusted=named.trust)
    if named.program_path is not None:
        refuse_options(["--program"], f"{named.model}, which is no checkpoint")
    found = load_compiled(named.model)
    if found is not None:
        refuse_options(flags, f"{named.model}, which is compiled already")
        say_untrained(named.model, found)
        admit(found, named.model, trusted=named.trust)
        return found, Machine(found, named.seed)
    from rpucc.compiler.compile import compile_model

    shaped = replace(named.compiling, input_shape=shape_from(named.compiling.input_shape, shape))
    found = compile_model(named.model, named.target, shaped)
    say_notes(found)
    admit(found, named.model)
    return found, Machine(found, named.seed)
