"""metrics.jsonl: the loss while an epoch runs, at most LINES lines an epoch.

Each line is a JSON object: `epoch` (from 1), `samples` (of the epoch, trained so far), `loss` (the
mean since the line before), `lr`, `loss_sum` and `weight` (the loss over the epoch so far is their
ratio; from them a resumed training goes on: its lines are those of one that was never stopped).
Not for the metrics of whole epochs: those are metrics.csv.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from rpucc.checked import Number, Positive
from rpucc.errors import OutputError
from rpucc.outputs import write_text
from rpucc.runs.json_lines import read_lines

if TYPE_CHECKING:
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Progress, StepMetrics

LINES = 1000
"""The most lines of an epoch: a longer one gets a line every so many steps."""


class StepLog:
    """A callback of `Trainer.fit` that writes the lines; `close` ends it.

    samples, batch_size: of an epoch, and of a step. Lines that the file has from beyond where the
    machine stands, as a killed training leaves them, are dropped. Raises OutputError.
    """

    def __init__(self, path: Path, machine: Machine, samples: int, batch_size: int) -> None:
        self.path, self.machine, self.samples = path, machine, samples
        steps = math.ceil(samples / batch_size)
        self._every = batch_size * math.ceil(steps / LINES)
        counters = machine.counters
        kept = _lines_until(path, counters.epoch + 1, counters.done)
        under_way = bool(kept) and counters.done < samples
        last = kept[-1] if under_way and kept[-1].epoch == counters.epoch + 1 else None
        self._sum, self._weight = (last.loss_sum, last.weight) if last else (0.0, 0.0)
        self._next = (last.samples if last else 0) + self._every
        write_text(path, "".join(json.dumps(line.model_dump()) + "\n" for line in kept))
        self._stream: IO[str] = path.open("a", encoding="utf-8", newline="\n")

    def on_step(self, step: StepMetrics) -> None:
        """Write a line where one is due."""
        if step.done < self._next and step.done < self.samples:
            return
        counters = self.machine.counters
        total, weight = counters.loss_sum, float(counters.loss_weight or step.done)
        loss = (total - self._sum) / ((weight - self._weight) or math.nan)
        if math.isfinite(loss) and not math.isnan(step.loss):
            line = {"epoch": step.epoch, "samples": step.done, "loss": loss, "lr": step.lr}
            with self._writing():
                self._stream.write(json.dumps({**line, "loss_sum": total, "weight": weight}) + "\n")
        ended = step.done >= self.samples
        self._sum, self._weight = (0.0, 0.0) if ended else (total, weight)
        self._next = (0 if ended else step.done) + self._every

    def on_progress(self, _: Progress) -> None:
        """Let others see the lines: about ten times a second."""
        with self._writing():
            self._stream.flush()

    def close(self) -> None:
        """Write what is left."""
        with self._writing():
            self._stream.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"{self.path}: cannot write: {reason}") from error


class StepLine(BaseModel):
    """A line of the file."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    epoch: Positive
    samples: Positive
    loss: Number
    lr: Number
    loss_sum: Number
    weight: Number


def read_steps(path: Path) -> list[StepLine]:
    """Return the lines; what is none is passed over."""
    return read_lines(path, StepLine)


def _lines_until(path: Path, epoch: int, samples: int) -> list[StepLine]:
    """The lines that are not beyond a number of samples of an epoch."""
    return [each for each in read_steps(path) if (each.epoch, each.samples) <= (epoch, samples)]
