"""Curves for TensorBoard: losses, errors and rates of steps and epochs, and figures of layers.

TensorBoard's own package writes the files (the extra `tensorboard`): whoever looks at them has it,
it needs neither TensorFlow nor PyTorch, and what it reads it wrote.
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from rpucc import arguments
from rpucc.errors import OutputError, RpuccError

if TYPE_CHECKING:
    from rpucc.runtime.layer_stats import LayerStats
    from rpucc.runtime.metrics import Ended, EpochMetrics, RunInfo, StepMetrics


Values = list[tuple[str, float | None]]
"""Tags and their values; what is not known is left out."""


class TensorBoardLogger:
    """Writes an event file into a folder, which `tensorboard --logdir FOLDER` shows.

    A callback of `Trainer.fit`. The horizontal axis counts trained samples, in all epochs.

    | tag | |
    | --- | --- |
    | loss/step, rate/step | mean loss and rate of the last `every` samples or more |
    | loss/train, loss/test, loss/validation, error/… | of each epoch |
    | rate/epoch, pulses/a weight, reads/saturated, reads/again | of each epoch |
    | layer/pulses a weight, layer/saturated, layer/at bounds, layer/mean, layer/std | of each
    layer, whose name comes in the place of "layer" |

    folder: is made where it is not there; a training that goes on adds a file, which tells
        TensorBoard to leave out what earlier files have beyond where it begins.
    every: samples between two points of loss/step, 1 or more; a point takes some 0.1 milliseconds.

    Raises RpuccError where the package is absent, OutputError where the folder cannot be written.
    """

    def __init__(self, folder: str | os.PathLike[str], *, every: int = 100) -> None:
        self.folder = arguments.path("TensorBoardLogger(folder)", folder)
        self.every = arguments.integer("every", every, 1)
        self._package = _package()
        self._writer: Any = None
        self._before = self._done = self._seen = 0
        self._loss = self._rate = 0.0

    def on_start(self, run: RunInfo) -> None:
        """Open a file."""
        self._before, self._done = sum(metrics.samples for metrics in run.history), run.done
        self._seen, self._loss = 0, 0.0
        try:
            self._writer = self._package.writer(str(self.folder))
            session = self._package.events.SessionLog
            # TensorBoard drops what earlier files have from this step on, which is trained anew.
            begun = self._before + self._done
            self._add(begun + 1, session_log=session(status=session.START))
        except OSError as error:
            raise self._failed(error) from error

    def on_step(self, step: StepMetrics) -> None:
        """Write a point of every so many samples."""
        self._loss += step.loss * step.samples
        self._seen += step.samples
        self._done, self._rate = step.done, step.lr
        if self._seen >= self.every:
            self._point()

    def on_layer_stats(self, stats: tuple[LayerStats, ...]) -> None:
        """Write the figures of all layers."""
        for layer in stats:
            self._scalars(self._before + self._done, _of_layer(layer))

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Write the figures of an epoch, and see that they can be looked at."""
        if self._seen:
            self._point()
        self._before, self._done = self._before + metrics.samples, 0
        self._scalars(self._before, _of_epoch(metrics))
        try:
            self._writer.flush()
        except OSError as error:
            raise self._failed(error) from error

    def on_finish(self, ended: Ended) -> None:
        """Close the file."""
        writer, self._writer = self._writer, None
        if writer is not None:
            try:
                writer.close()
            except OSError as error:
                raise self._failed(error) from error

    def _point(self) -> None:
        """Write the mean loss since the last point."""
        values: Values = [("loss/step", self._loss / self._seen), ("rate/step", self._rate)]
        self._scalars(self._before + self._done, values)
        self._seen, self._loss = 0, 0.0

    def _scalars(self, at: int, values: Values) -> None:
        summary = self._package.summaries.Summary
        found = [
            summary.Value(tag=tag, simple_value=value)
            for tag, value in values
            if value is not None and math.isfinite(value)
        ]
        if found:
            try:
                self._add(at, summary=summary(value=found))
            except OSError as error:
                raise self._failed(error) from error

    def _add(self, at: int, **what: Any) -> None:
        event = self._package.events.Event(wall_time=time.time(), step=at, **what)
        self._writer.add_event(event)

    def _failed(self, error: OSError) -> OutputError:
        return OutputError(f"{self.folder}: cannot be written: {error.strerror or error}")


class _Package(NamedTuple):
    """What is needed of the package: its writer, and modules of messages."""

    writer: Any
    events: Any
    summaries: Any


def require() -> None:
    """Raise RpuccError where the package is absent."""
    _package()


def _package() -> _Package:
    try:
        from tensorboard.compat.proto import event_pb2, summary_pb2
        from tensorboard.summary.writer.event_file_writer import EventFileWriter
    except ImportError as error:
        raise RpuccError(
            "curves for TensorBoard need its package: pip install 'rpucc[tensorboard]'"
        ) from error
    return _Package(EventFileWriter, event_pb2, summary_pb2)


def _of_epoch(metrics: EpochMetrics) -> Values:
    parts = ("train", "test", "validation")
    found: Values = [
        (f"{what}/{part}", getattr(metrics, f"{part}_{what}"))
        for what in ("loss", "error")
        for part in parts
    ]
    reads = max(metrics.reads, 1)
    return [
        *found,
        ("rate/epoch", metrics.lr),
        ("pulses/a weight", metrics.pulses_per_weight),
        ("reads/saturated", metrics.saturated_reads / reads),
        ("reads/again", metrics.rereads / reads),
    ]


def _of_layer(stats: LayerStats) -> Values:
    figures = {
        "pulses a weight": stats.pulses_per_weight,
        "saturated": stats.saturated_reads / max(stats.reads, 1),
        "at bounds": stats.at_bounds,
        "mean": stats.mean,
        "std": stats.std,
    }
    return [(f"{stats.layer}/{name}", value) for name, value in figures.items()]
