"""A trainer whose kernels are ready: compiling them takes long enough to be said.

Not for training: that is rpucc.runtime.trainer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rpucc import portable
from rpucc.exact_operators import not_held
from rpucc.terminal import say, status

if TYPE_CHECKING:
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.trainer import Trainer


def make_trainer(machine: Machine, threads: int, batch_size: int | None = None) -> Trainer:
    """Make a trainer whose kernels are compiled (and says so) or loaded from the cache.

    batch_size: that of the training to come; None for evaluation alone.
    """
    from rpucc.runtime.trainer import Trainer
    from rpucc.runtime.warmup import on_compiling, warm_up

    trainer = Trainer(machine, threads=threads)
    with (
        status("preparing kernels…") as say_instead,
        on_compiling(lambda: say_instead("compiling kernels (compiled once per installation)…")),
    ):
        warm_up(trainer, batch_size or 1, train=batch_size is not None)
    if portable.asked() and (names := trainer.not_held()):
        say(not_held(names))
    return trainer


def note_not_held(run: RunFolder, trainer: Trainer) -> None:
    """Write into run.json what of a portable training other processors may round otherwise."""
    if portable.asked() and (names := trainer.not_held()):
        run.write_machine(not_held=names)
