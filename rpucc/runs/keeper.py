"""Keeping a run folder in line with its training: metrics, steps, layers, events, timings.

Not for checkpoints: the trainer writes those.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

from rpucc.errors import OutputError, RpuccError, one_line
from rpucc.runs.about import now
from rpucc.runs.events import Event, append, training_times
from rpucc.runs.guard import Guard
from rpucc.runs.layer_record import LayerRecorder
from rpucc.runs.step_log import StepLog
from rpucc.terminal import say

if TYPE_CHECKING:
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.layer_stats import LayerStats
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Ended, EpochMetrics, Progress, RunInfo, StepMetrics


class Keeper:
    """A callback of `Trainer.fit`, and the context of that call, which says how it ended.

    machine: the one that is trained; its history goes to metrics.csv.
    """

    def __init__(self, run: RunFolder, machine: Machine) -> None:
        """Bring the record of layers in line with the machine; raises as LayerRecorder."""
        self.run, self.machine = run, machine
        self._ended: Ended = "complete"
        self._layers = LayerRecorder(run.layers, machine)
        self._steps: StepLog | None = None
        self._info: RunInfo | None = None
        self._guard = Guard(run, machine.program)

    def on_start(self, info: RunInfo) -> None:
        """Open the log of steps where the machine stands."""
        self._info = info
        self._steps = StepLog(self.run.steps, self.machine, info.samples, info.batch_size)

    def on_step(self, step: StepMetrics) -> None:
        """Write its loss, where a line is due."""
        assert self._steps is not None
        self._steps.on_step(step)

    def on_progress(self, progress: Progress) -> None:
        """Let others see the losses."""
        self._restore()
        assert self._steps is not None
        self._steps.on_progress(progress)

    def on_layer_stats(self, stats: tuple[LayerStats, ...]) -> None:
        """Write what the epoch did to each layer, before its checkpoint is written."""
        self._restore()
        self._layers.add(stats)

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Write the metrics of all epochs, and that one more is complete."""
        self.run.write_metrics(self.machine.history)
        append(self.run.events, Event("epoch", metrics.epoch, seconds=round(metrics.seconds, 6)))

    def on_finish(self, ended: Ended) -> None:
        """Keep in mind whether it ended early, for the last event."""
        self._ended = ended

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        """Say how the training ended; what goes wrong here does not hide what went wrong there."""
        with self._guard:
            with contextlib.suppress(OutputError) if error else contextlib.nullcontext():
                self._close()
            if error is None or self._guard.holds:
                self._tell(error)

    def _tell(self, error: BaseException | None) -> None:
        counters = self.machine.counters
        at = (counters.epoch, counters.done)
        if error is None:
            early = self._ended == "stopped early"
            self._end(Event("finished", *at, reason=self._ended if early else None))
            return
        with contextlib.suppress(OutputError):
            if isinstance(error, KeyboardInterrupt):
                self._end(Event("interrupted", *at))
            elif isinstance(error, RpuccError):
                self._end(Event("failed", *at, reason=one_line(error)))

    def _restore(self) -> None:
        """Go on in a folder that was emptied or deleted: what a checkpoint needs is there again."""
        if not self._guard.restored() and self.run.layers.exists():
            return
        say(f"{self.run.path}: was deleted while it trained; what is lost is written anew")
        self._layers = LayerRecorder(self.run.layers, self.machine)
        if self._info is not None:
            with contextlib.suppress(OutputError):
                self._close()
            self.on_start(self._info)

    def _close(self) -> None:
        if self._steps is not None:
            self._steps.close()

    def _end(self, event: Event) -> None:
        append(self.run.events, event)
        found = training_times(self.run.events)
        self.run.write_timings(
            {"ended": now(), "epochs": len(found), "training_seconds": round(sum(found), 6)}
        )
