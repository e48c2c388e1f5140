"""Ctrl-C and status lines, without a terminal. Whole trainings are in tests/e2e."""

from __future__ import annotations

import io
import os
import signal
import time

import pytest

from rpucc import terminal as console
from rpucc.runtime import interrupt
from rpucc.runtime.metrics import Progress


def test_ctrl_c_waits_for_the_step_and_twice_ends_at_once(monkeypatch):
    messages, codes = [], []
    monkeypatch.setattr(os, "write", lambda _, text: messages.append(text))
    monkeypatch.setattr(os, "_exit", codes.append)
    pressed = interrupt.Interrupt()
    pressed.check()
    pressed.handle(signal.SIGINT, None)
    with pytest.raises(KeyboardInterrupt):
        pressed.check()
    assert codes == []
    pressed.handle(signal.SIGINT, None)
    assert codes == [130]
    assert b"at once" in messages[-1]


def test_the_handler_is_put_back():
    before = signal.getsignal(signal.SIGINT)
    with interrupt.deferred_interrupt() as pressed:
        assert signal.getsignal(signal.SIGINT) == pressed.handle
    assert signal.getsignal(signal.SIGINT) is before


def test_status_speaks_only_when_it_takes_long(monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(console, "say", said.append)
    with console.status("slow", delay=60):
        pass
    assert said == []
    with console.status("slow", delay=0):
        while not said:
            time.sleep(0.001)
    assert said == ["slow"]
    with console.status("slow", delay=0.2) as say_instead:
        say_instead("compiling")
        time.sleep(0.3)
    assert said == ["slow", "compiling"]


def test_no_bar_without_a_terminal(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    with console.ProgressBar() as bar:
        bar.on_progress(Progress(1, 2, 10, 100, 0.5, 20.0))
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_bar_on_a_terminal(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    with console.ProgressBar() as bar:
        bar.on_progress(Progress(1, 2, 10, 100, 0.5, 20.0))
        bar.on_progress(Progress(1, 2, 90, 100, 0.25, 20.0))
        bar.clear()
    assert "epoch 1/2" in stream.getvalue()
    assert "90/100  20/s  loss 0.2500  ETA 0:06 in all" in stream.getvalue()
