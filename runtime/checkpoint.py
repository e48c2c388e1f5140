"""Checkpoints from Python: a machine's state to a file and back.

What `Machine.save` and `Machine.load` do, for a checkpoint alone. Not for what the file holds:
`checkpoint_file.py`.
"""

from __future__ import annotations

import os

from rpucc import arguments
from rpucc.program import Program
from rpucc.runtime.checkpoint_file import write_checkpoint
from rpucc.runtime.machine import Machine


def save_checkpoint(machine: Machine, path: str | os.PathLike[str]) -> None:
    """Write the machine's state as a safetensors file, which appears whole or not at all.

    machine: its weights, where its training stands, its history and its seed are written; the
        program is not: save that beside it as program.rpu.onnx (`Program.save`).
    path: the file; its folder has to be there.

    Raises OutputError where it cannot be written, ArgumentError for other arguments.
    """
    place = arguments.path("save_checkpoint(path)", path)
    arguments.instance("save_checkpoint(machine)", machine, Machine, "a Machine")
    write_checkpoint(machine.checkpoint(), machine.program, place)


def load_checkpoint(path: str | os.PathLike[str], program: Program | None = None) -> Machine:
    """Return the machine that a checkpoint holds, ready to evaluate or to train on.

    path: what `save_checkpoint`, `fit` or `rpucc train` wrote: a run folder, or the file
        checkpoint.safetensors in it.
    program: the Program it belongs to; by default the file program.rpu.onnx beside the checkpoint.
        One with devices of a user's own has to be loaded with `Program.load(path, trust=True)`.

    Raises CheckpointError where the file is not a checkpoint, is damaged or is another program's,
    or where there is no program beside it; TargetError as `Machine`; ArgumentError for other
    arguments.

    >>> import rpucc, tempfile
    >>> machine = rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False), seed=5)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     machine.program.save(f"{folder}/program.rpu.onnx")
    ...     save_checkpoint(machine, f"{folder}/checkpoint.safetensors")
    ...     load_checkpoint(folder).seed
    5
    """
    place = arguments.path("load_checkpoint(path)", path)
    if program is not None:
        arguments.instance("load_checkpoint(program)", program, Program, "a Program, or None")
    return Machine.load(place, program)
