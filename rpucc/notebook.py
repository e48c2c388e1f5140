"""A line in a notebook that is written anew in its place: the progress of a training.

What runs a notebook is no terminal, so that a bar of characters would leave a thousand lines. Not
for objects that show themselves: rpucc.report.html.
"""

from __future__ import annotations

import sys
import time
from importlib import import_module
from typing import TYPE_CHECKING, Any

from rpucc.report.markup import tag
from rpucc.report.text.training import progress_text

if TYPE_CHECKING:
    from rpucc.runtime.metrics import Progress

SECONDS = 0.2
"""Between two updates: each is a message to the browser."""


def in_notebook() -> bool:
    """Whether a notebook's kernel runs this; IPython in a terminal is none."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return getattr(shell, "kernel", None) is not None


class NotebookLine:
    """The progress of a training in one output of a cell."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = 0.0

    def show(self, progress: Progress) -> None:
        """Write it, in the place of what was there."""
        now = time.monotonic()
        complete = 0 < progress.samples <= progress.samples_done
        if now - self._shown < SECONDS and not complete:
            return
        self._shown = now
        line = _Line(progress)
        if self._handle is None:
            display = import_module("IPython.display").display
            self._handle = display(line, display_id=True)
        else:
            self._handle.update(line)

    def clear(self) -> None:
        """Take it away."""
        if self._handle is not None:
            self._handle.update(_Nothing())
            self._handle = None


class _Line:
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def __repr__(self) -> str:
        return f"{self._epoch()}  {progress_text(self.progress)}"

    def _repr_html_(self) -> str:
        done, of = self.progress.samples_done, self.progress.samples
        bar = tag("progress", value=done, max=of) if of else tag("progress")
        return tag("div", f"{self._epoch()} ", bar, f" {progress_text(self.progress)}")

    def _epoch(self) -> str:
        return f"epoch {self.progress.epoch}/{self.progress.epochs}"


class _Nothing:
    def __repr__(self) -> str:
        return ""

    def _repr_html_(self) -> str:
        return ""
