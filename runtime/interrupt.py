"""Signals that ask to stop, held back until a training step is complete.

A step changes weights in place. The signals: Ctrl-C (SIGINT), the end of a terminal or a
connection (SIGHUP), and what schedulers and `kill` send (SIGTERM).
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

INTERRUPTED = 130
"""Exit status of a process that Ctrl-C ended (128 + SIGINT)."""

_NAMES = {"SIGINT": "Ctrl-C", "SIGTERM": "SIGTERM", "SIGHUP": "SIGHUP"}  # no SIGHUP on Windows
_SIGNALS = {getattr(signal, n): text for n, text in _NAMES.items() if hasattr(signal, n)}


class Stopped(KeyboardInterrupt):
    """A signal other than Ctrl-C that was held back; whatever cleans up after Ctrl-C does so."""

    def __init__(self, number: int) -> None:
        super().__init__(_SIGNALS[signal.Signals(number)])
        self.number = number


def status_of(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a process that was stopped like this: 128 + the signal's number."""
    return 128 + stop.number if isinstance(stop, Stopped) else INTERRUPTED


class Interrupt:
    """The first signal waits for `check`; the second ends the process at once.

    After the second one the checkpoint is that of the last whole epoch.
    """

    def __init__(self) -> None:
        self.pending: int | None = None

    def handle(self, number: int, _frame: FrameType | None) -> None:
        """Note the first signal; leave at the second."""
        if self.pending is not None:
            _say("stopped at once: the checkpoint is that of the last whole epoch")
            os._exit(128 + number)
        self.pending = number
        _say(f"stopping after this step ({_SIGNALS[signal.Signals(number)]} again: at once)")

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed, `Stopped` for another signal."""
        if self.pending == signal.SIGINT:
            raise KeyboardInterrupt
        if self.pending is not None:
            raise Stopped(self.pending)


def _say(text: str) -> None:
    """Write a line on standard error, whatever has become of it: a terminal may be gone."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Interrupt]:
    """Hold the signals back inside the block.

    Does nothing outside the main thread (only it may handle signals), and leaves alone what the
    program that uses rpucc handles itself, or ignores (as under nohup).
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    usual = (signal.default_int_handler, signal.SIG_DFL)
    ours = [s for s in _SIGNALS if signal.getsignal(s) is usual[s != signal.SIGINT]]
    before = {s: signal.signal(s, interrupt.handle) for s in ours}
    try:
        yield interrupt
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
