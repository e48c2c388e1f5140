"""Ctrl-C held back until a training step is complete: a step changes weights in place."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended (128 + SIGINT)."""


class Interrupt:
    """The first Ctrl-C waits for `check`; the second ends the process at once.

    After the second one the checkpoint is that of the last whole epoch.
    """

    def __init__(self) -> None:
        self.pending = False

    def handle(self, _signal: int, _frame: FrameType | None) -> None:
        """Note the first Ctrl-C; leave at the second."""
        if self.pending:
            os.write(2, b"\nstopped at once: the checkpoint is that of the last whole epoch\n")
            os._exit(INTERRUPTED)
        self.pending = True
        os.write(2, b"\nstopping after this step (Ctrl-C again: at once)\n")

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed."""
        if self.pending:
            raise KeyboardInterrupt


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Hold Ctrl-C back inside the block.

    Does nothing outside the main thread (only it may handle signals) or where the program that
    uses rpucc has a handler of its own.
    """
    interrupt = Interrupt()
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield interrupt
        return
    before = signal.signal(signal.SIGINT, interrupt.handle)
    try:
        yield interrupt
    finally:
        signal.signal(signal.SIGINT, before)
