"""Terminals: the two consoles, the progress bar, status lines.

Standard output carries results, standard error progress and messages. Where a stream is no
terminal it gets plain text of at most 100 columns and no bar. Not for what is shown: rpucc.report.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TextIO

import click
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

    from rpucc.runtime.metrics import Ended, EpochMetrics, Progress

PLAIN_WIDTH = 100
MAX_WIDTH = 140
"""Wider than this, lines are hard to follow."""

KERNEL_DELAY = 0.5
"""Seconds before preparing kernels is worth a line: mostly, loading them takes less."""


def make_console(stream: TextIO) -> Console:
    """Return a console for a stream, as wide as its terminal within bounds."""
    if stream.isatty():
        console = Console(
            file=stream,
            markup=False,
            emoji=False,
            highlight=False,
            soft_wrap=False,
            force_jupyter=False,
        )
        console.width = min(console.width, MAX_WIDTH)
        return console
    columns = os.environ.get("COLUMNS", "")
    wanted = int(columns) if columns.isdecimal() and int(columns) > 0 else PLAIN_WIDTH
    return Console(
        file=stream,
        markup=False,
        emoji=False,
        highlight=False,
        color_system=None,
        force_terminal=False,  # whatever FORCE_COLOR says, which notebooks set for what they start
        force_jupyter=False,  # else a notebook's kernel shows it all as a display of its own
        width=min(wanted, PLAIN_WIDTH),
    )


class _Printable:
    """A renderable whose text cannot steer the terminal, whatever names it holds."""

    def __init__(self, renderable: RenderableType) -> None:
        self.renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for segment in console.render(self.renderable, options):
            yield segment if segment.control else segment._replace(text=_printable(segment.text))


def _printable(text: str) -> str:
    from rpucc.report.units import plain

    return "\n".join(map(plain, text.split("\n")))


def show(*renderables: RenderableType, stream: TextIO | None = None) -> None:
    """Print results one below the other, on standard output unless another stream is given."""
    console = make_console(stream or sys.stdout)
    if console.is_terminal:
        for each in renderables:
            console.print(_Printable(each))
        return
    with console.capture() as captured:
        for each in renderables:
            console.print(_Printable(each))
    for line in captured.get().splitlines():
        click.echo(line.rstrip(), file=stream)


def result_width() -> int:
    """Columns that results have."""
    return make_console(sys.stdout).width


def say(message: str) -> None:
    """Print a line of text on standard error."""
    click.echo(_printable(message), err=True)


@contextlib.contextmanager
def status(message: str, delay: float = KERNEL_DELAY) -> Iterator[Callable[[str], None]]:
    """Print `message` on standard error if the block takes longer than `delay` seconds.

    Yields a function that prints another message at once, in its place.
    """
    timer = threading.Timer(delay, say, [message])
    timer.daemon = True

    def instead(other: str) -> None:
        timer.cancel()
        say(other)

    timer.start()
    try:
        yield instead
    finally:
        timer.cancel()


class ProgressBar:
    """A bar that shows where a training stands: a callback of `Trainer.fit`.

    In a terminal it is on standard error, in a notebook in the output of the cell; at the end it
    goes away. Where no one watches, as in a log file, it is silent.

    >>> import rpucc
    >>> trainer = rpucc.Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
    >>> epochs = trainer.fit(
    ...     "mnist-mini", epochs=1, batch_size=10, callbacks=[rpucc.ProgressBar()]
    ... )
    """

    def __init__(self) -> None:
        from rpucc.notebook import NotebookLine, in_notebook

        self._console = make_console(sys.stderr)
        self._notebook = NotebookLine() if in_notebook() else None
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def on_progress(self, progress: Progress) -> None:
        """Show where training stands."""
        if self._notebook is not None:
            self._notebook.show(progress)
            return
        if not self._console.is_terminal:
            return
        from rpucc.report.text.training import progress_text

        if self._bar is None:
            self._start(progress)
        assert self._bar is not None
        assert self._task is not None
        self._bar.update(self._task, completed=progress.samples_done, text=progress_text(progress))

    def _start(self, progress: Progress) -> None:
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[text]}", markup=False),
            console=self._console,
            transient=True,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        name = f"epoch {progress.epoch}/{progress.epochs}"
        self._task = self._bar.add_task(name, total=progress.samples or None, text="")
        self._bar.start()

    def clear(self) -> None:
        """Take the bar away: before anything else is printed, and at the end."""
        if self._notebook is not None:
            self._notebook.clear()
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def on_epoch(self, _: EpochMetrics) -> None:
        """Begin anew: the next epoch has a bar of its own."""
        self.clear()

    def on_finish(self, _: Ended) -> None:
        """Leave nothing behind, whatever ended the training."""
        self.clear()

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()
