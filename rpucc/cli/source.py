"""What a user means by MODEL, RUN or CHECKPOINT: from a path or a name to a program or a machine.

Not for the options around it: those are each command's own.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.cli.run_folder import RunFolder
from rpucc.errors import CheckpointError, ModelError, UsageError, VersionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rpucc.compiler.options import ShapeOf
    from rpucc.program import Program
    from rpucc.runtime.checkpoint_file import Checkpoint
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.machine import Machine

CHECKPOINT_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Trained:
    """A trained network's files."""

    program: Path
    checkpoint: Path
    run: RunFolder | None
    """The folder, where it is a run folder."""

    def load_program(self) -> Program:
        """Read the program."""
        from rpucc.program import Program

        return Program.load(self.program)

    def load_machine(self, program: Program, *, trusted: bool = False) -> Machine:
        """Make the machine as the checkpoint has it; trusted: the user gave --trust."""
        from rpucc.cli.trust import admit
        from rpucc.runtime.checkpoint import load_checkpoint

        admit(program, str(self.run.path if self.run else self.program), trusted=trusted)
        return load_checkpoint(self.checkpoint, program)

    def read_checkpoint(self, program: Program) -> Checkpoint:
        """Read the checkpoint to look at it: nothing of its devices is made or imported."""
        from rpucc.runtime.checkpoint_file import read_checkpoint

        return read_checkpoint(self.checkpoint, program)


def find_trained(name: str, program: str | None = None) -> Trained | None:
    """Return the files of a run folder or checkpoint; None where `name` is neither.

    program: the program's file, where it does not lie beside the checkpoint. Raises
    CheckpointError where a folder or a checkpoint lacks something.
    """
    path = Path(name)
    if os.path.isdir(path):  # False, too, for a name too long for the system
        run = RunFolder(path)
        if not run.exists():
            raise CheckpointError(f"{name}: is a folder, but no run folder: it has no program.onnx")
        checkpoint = run.checkpoint
        if not checkpoint.is_file():
            raise CheckpointError(
                f"{name}: has no checkpoint yet; rpucc train writes one after every epoch"
            )
    elif path.suffix == CHECKPOINT_SUFFIX:
        if not path.is_file():
            raise CheckpointError(f"{name}: no such file")
        run, checkpoint = RunFolder(path.parent), path
    else:
        return None
    place = Path(program) if program is not None else run.program
    if not place.is_file():
        hint = "no such file" if program is not None else "give the checkpoint's with --program"
        raise CheckpointError(f"{name}: its program {place} is not there; {hint}")
    return Trained(place, checkpoint, run if run.exists() else None)


def load_program(name: str) -> Program:
    """Return the program of a file, a run folder or a checkpoint; says how to make a missing one.

    Raises ModelError or CheckpointError.
    """
    from rpucc.models import MODELS
    from rpucc.program import Program

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
    from rpucc.cli.console import show
    from rpucc.report import units
    from rpucc.report.text.tables import pairs

    if notes:
        show(pairs(("note", units.plain(note)) for note in notes), stream=sys.stderr)


def say_untrained(name: str, program: Program) -> None:
    """Say so where a program is that of a run folder, which holds no trained weights."""
    from rpucc.cli.console import say

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
        from rpucc.cli.console import say

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


# ---------------------------------------------------------------- data for a program


def sample_shapes(program: Program) -> dict[str, tuple[int, ...]]:
    """Return each data input with the shape of a sample; ModelError where one is not static."""
    from rpucc.report.text.program import input_shapes

    found = {}
    for name, shape in input_shapes(program).items():
        if not all(isinstance(d, int) for d in shape):
            raise ModelError(f"input {name!r}: its shape {list(shape)} is not static")
        found[name] = tuple(int(d) for d in shape)
    return found


def output_shape(program: Program) -> tuple[int, ...]:
    """Return the shape of one sample's output: [classes, *space], or [values] of a regression."""
    for node in program.model.graph:
        for value in node.outputs:
            if value.name == program.step.scored and value.shape is not None:
                dims = [d for d in list(value.shape)[1:] if isinstance(d, int)]
                if dims and len(dims) == len(value.shape) - 1:
                    return tuple(dims)
    raise ModelError(f"output {program.output!r}: its number of values a sample is not static")


def load_data(spec: str, data_dir: str | None, program: Program) -> Dataset:
    """Return the data set, checked against the program; raises DataError."""
    from rpucc.cli.console import say
    from rpucc.runtime.data import fitted, load_dataset

    folder = Path(data_dir) if data_dir is not None else None
    dataset = load_dataset(spec, folder, inputs=program.inputs)
    return fitted(dataset, sample_shapes(program), output_shape(program), program.loss, say)
