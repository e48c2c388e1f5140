"""What a user means by MODEL, RUN or CHECKPOINT: from a path or a name to a program or a machine.

Not for the options around it: those are each command's own.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import ModelError, UsageError, VersionError
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpucc.compiler.options import ShapeOf
    from rpucc.program import Program
    from rpucc.runtime.machine import Machine


def load_program(name: str) -> Program:
    """Return the program of a file, a run folder or a checkpoint; says how to make a missing one.

    Raises ModelError or CheckpointError.
    """
    from rpucc.models import MODELS
    from rpucc.program import Program
    from rpucc.runs.trained import find_trained

    trained = find_trained(name)
    if trained is not None:
        return trained.load_program()
    if name in MODELS and not Path(name).exists():
        raise ModelError(
            f"{name}: a built-in model, not a compiled program; rpucc compile {name} -o FILE makes "
            "one"
        )
    return Program.load(name)


def load_compiled(name: str) -> Program | None:
    """Return the program in a file; None where `name` is no file that rpucc compiled.

    What is wrong with other files is for the compiler to say.
    """
    from rpucc.program import Program, is_program, read_model

    if not os.path.isfile(name):
        return None
    try:
        model = read_model(name)
    except VersionError:
        raise
    except ModelError:
        return None
    return Program.load(name) if is_program(model) else None


def say_notes(program: Program) -> None:
    """Say on standard error what compiling a model noted, where the plan is not shown."""
    _say_notes(*program.plan.notes)


def say_clipped(machine: Machine) -> None:
    """Say how many weights the devices could not hold when they were programmed, if any."""
    from rpucc.report.text.training import clipped_text

    if text := clipped_text(machine.clipped_by_layer):
        _say_notes(text)


def _say_notes(*notes: str) -> None:
    from rpucc.report import units
    from rpucc.report.text.tables import pairs
    from rpucc.terminal import show

    if notes:
        show(pairs(("note", units.plain(note)) for note in notes), stream=sys.stderr)


def say_untrained(name: str, program: Program) -> None:
    """Say so where a program is that of a run folder, which holds no trained weights."""
    from rpucc.terminal import say

    if program.before_training:
        say(f"note: {name} holds the weights as they were before training; {_trained_ones(name)}")


def _trained_ones(name: str) -> str:
    folder = Path(name).parent
    if RunFolder(folder).checkpoint.is_file():
        return f"the trained ones: give the run folder, {folder}"
    return "the trained ones are in its run folder's checkpoint"


def shape_from(given: Sequence[int] | ShapeOf | None, of_data: ShapeOf) -> Sequence[int] | ShapeOf:
    """Return the input's shape for `compile_model`: the user's, else as the data fill open sizes.

    Says so where the data decide.
    """
    if given is not None:
        return given

    def found(stated: tuple[int | None, ...]) -> Sequence[int] | None:
        from rpucc.terminal import say

        shape = of_data(stated)
        if shape is not None:
            sizes = " × ".join(map(str, shape))
            say(
                f"the model leaves sizes of its input open: {sizes}, from the data (--input-shape "
                "sets others)"
            )
        return shape

    return found


def refuse_options(flags: list[str], why: str) -> None:
    """Raise UsageError if the user gave options that have no effect."""
    if flags:
        raise UsageError(f"{', '.join(flags)}: no effect on {why}")
