"""Compiling the kernels before the clock starts: one step on a machine, then put back as it was."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numba.core import event

from rpucc.runtime.kernels.batches import count_errors, gather
from rpucc.runtime.kernels.philox import shuffle
from rpucc.runtime.memory import evaluation_batch

if TYPE_CHECKING:
    from rpucc.runtime.trainer import Trainer


@contextlib.contextmanager
def on_compiling(tell: Callable[[], None]) -> Iterator[None]:
    """Call `tell` when the block compiles its first kernel; loading one from the cache is none."""
    listener = _FirstCompilation(tell)
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        event.unregister("numba:compile", listener)  # type: ignore[no-untyped-call]


class _FirstCompilation(event.Listener):
    """Told by Numba of every function that it did not find in its cache."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self.tell, self.told = tell, False

    def on_start(self, event: event.Event) -> None:
        if not self.told:
            self.told = True
            self.tell()

    def on_end(self, event: event.Event) -> None:
        pass


def warm_up(trainer: Trainer, batch_size: int = 1, *, train: bool = True) -> None:
    """Run every kernel that `trainer` will use once, so that all are compiled (or loaded).

    The machine's state is the same afterwards.
    """
    machine = trainer.machine
    saved = {name: array.copy() for name, array in machine.state().items()}
    counters = copy.deepcopy(machine.counters)
    try:
        for evaluating in (False, True) if train else (True,):
            size = evaluation_batch(machine.program) if evaluating else batch_size
            size = machine.program.fixed_batch or size
            executor = trainer.executor(size, evaluating=evaluating)
            executor.run(0)
            executor.tallies.take()
        _warm_batches(machine.key)
    finally:
        machine.counters = counters
        machine.set_state(saved)


def _warm_batches(key: tuple[np.uint32, np.uint32]) -> None:
    """The small kernels around a step, for both kinds of stored samples."""
    order = np.arange(2)
    shuffle(order, 0, *key)
    out = np.zeros((1, 1), np.float32)
    one, zero = np.float32(1), np.float32(0)
    for dtype in (np.uint8, np.float32):
        gather(np.zeros((2, 1), dtype), order, 0, out, one, zero)
    count_errors(out, np.zeros(1, np.int64))
