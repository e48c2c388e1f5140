"""The files of a trained network: from the name of a run folder or checkpoint to its machine.

Not for what else a user may name where a model is wanted: that is the command line's.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc import run_files
from rpucc.errors import CheckpointError, UsageError
from rpucc.runs.folder import RunFolder

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.checkpoint_file import Checkpoint
    from rpucc.runtime.machine import Machine

CHECKPOINT_SUFFIX = ".safetensors"
LAST, BEST = "last", "best"


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
        """Make the machine as the checkpoint has it; trusted: the user gave --trust.

        Says on standard error where this process would not have trained it to the same bits.
        """
        from rpucc.runs.admission import admit
        from rpucc.runs.same_bits import elsewhere
        from rpucc.runtime.checkpoint import load_checkpoint
        from rpucc.terminal import say

        admit(program, str(self.run.path if self.run else self.program), trusted=trusted)
        machine = load_checkpoint(self.checkpoint, program)
        if (line := elsewhere(self.run)) is not None:
            say(line)
        return machine

    def read_checkpoint(self, program: Program) -> Checkpoint:
        """Read the checkpoint to look at it: nothing of its devices is made or imported."""
        from rpucc.runtime.checkpoint_file import read_checkpoint

        return read_checkpoint(self.checkpoint, program)


def trained_run(name: str, program: str | None = None, which: str | None = None) -> Trained:
    """Return the files of a run folder or checkpoint, as `find_trained`; one there has to be.

    Raises CheckpointError.
    """
    found = find_trained(name, program, which)
    if found is None:
        raise CheckpointError(
            f"{name}: no such run folder or checkpoint (.safetensors); rpucc train makes one"
        )
    return found


def find_trained(name: str, program: str | None = None, which: str | None = None) -> Trained | None:
    """Return the files of a run folder or checkpoint; None where `name` is neither.

    program: the program's file, where it does not lie beside the checkpoint. which: of a run
    folder's checkpoints last, best or the number of an epoch. Raises CheckpointError where a folder
    or a checkpoint lacks something, UsageError where `which` chooses nothing.
    """
    path = Path(name)
    run: RunFolder | None
    if os.path.isdir(path):  # False, too, for a name too long for the system
        run = RunFolder(path)
        if not run.exists():
            raise CheckpointError(
                f"{name}: is a folder, but no run folder: it has no program.rpu.onnx"
            )
        checkpoint = _chosen(run, which) if which not in (None, LAST) else run.checkpoint
        if not checkpoint.is_file():
            raise CheckpointError(
                f"{name}: has no checkpoint yet; rpucc train writes one after every epoch"
            )
    elif path.suffix == CHECKPOINT_SUFFIX:
        if not path.is_file():
            raise CheckpointError(f"{name}: no such file")
        run, checkpoint = RunFolder(path.parent), path
    else:
        run = None
    if which is not None and (run is None or not path.is_dir()):
        raise UsageError(f"--checkpoint {which}: chooses in a run folder; {name} is none")
    if run is None:
        return None
    place = Path(program) if program is not None else run.program
    if not place.is_file():
        hint = "no such file" if program is not None else "give the checkpoint's with --program"
        raise CheckpointError(f"{name}: its program {place} is not there; {hint}")
    return Trained(place, checkpoint, run if run.exists() else None)


def _chosen(run: RunFolder, which: str) -> Path:
    """Return the checkpoint that was kept as the best, or of an epoch."""
    place = run.checkpoint
    if which == BEST:
        place = run_files.best_of(run.checkpoint)
    elif which.isascii() and which.isdigit() and len(which) < 10:
        place = run_files.epoch_of(run.checkpoint, int(which))
    if place == run.checkpoint or not place.is_file():
        kept = [LAST, *(_word(path) for path in run.kept)]
        raise CheckpointError(
            f"{run.path}: has no checkpoint {which!r}; it has {', '.join(kept)} "
            "(rpucc train --keep says which stay)"
        )
    return place


def _word(kept: Path) -> str:
    """Return what `--checkpoint` calls a checkpoint that stayed."""
    word = kept.stem.rpartition("-")[2]
    return word if word == BEST else str(int(word.removeprefix("epoch")))
