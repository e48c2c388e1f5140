"""Keeping a run folder in line with its training: metrics, steps, events, timings.

Not for checkpoints: the trainer writes those, first.
"""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import TYPE_CHECKING

from rpucc.errors import OutputError, RpuccError, one_line
from rpucc.runs.about import now
from rpucc.runs.events import Event, append, read_events
from rpucc.runs.step_log import StepLog

if TYPE_CHECKING:
    from rpucc.runs.folder import RunFolder
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import EpochMetrics


class Keeper:
    """A callback of `Trainer.fit`, and the context of that call, which says how it ended.

    machine: the one that is trained; its history goes to metrics.csv. samples, batch_size: of an
    epoch of its training, and of a step.
    """

    def __init__(self, run: RunFolder, machine: Machine, samples: int, batch_size: int) -> None:
        self.run, self.machine = run, machine
        self._steps = StepLog(run.steps, machine, samples, batch_size)
        self.on_step, self.on_progress = self._steps.on_step, self._steps.on_progress

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Write the metrics of all epochs, and that one more is complete."""
        self.run.write_metrics(self.machine.history)
        append(self.run.events, Event("epoch", metrics.epoch, seconds=round(metrics.seconds, 6)))

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        _: TracebackType | None,
    ) -> None:
        """Say how the training ended; what goes wrong here does not hide what went wrong there."""
        with contextlib.suppress(OutputError) if error else contextlib.nullcontext():
            self._steps.close()
        counters = self.machine.counters
        at = (counters.epoch, counters.done)
        if error is None:
            self._end(Event("finished", *at))
            return
        with contextlib.suppress(OutputError):
            if isinstance(error, KeyboardInterrupt):
                self._end(Event("interrupted", *at))
            elif isinstance(error, RpuccError):
                self._end(Event("failed", *at, reason=one_line(error)))

    def _end(self, event: Event) -> None:
        append(self.run.events, event)
        epochs = [e["seconds"] for e in read_events(self.run.events) if e["event"] == "epoch"]
        found = [seconds for seconds in epochs if isinstance(seconds, float)]
        self.run.write_timings(
            {"ended": now(), "epochs": len(found), "training_seconds": round(sum(found), 6)}
        )
