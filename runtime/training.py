"""The epochs of one call of `Trainer.fit`: steps, metrics, what is told and what is saved.

Not for what a step is (`step.py`), nor for the arguments of a training (`trainer.py`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import DataError, RpuccError
from rpucc.runtime.checkpoint_file import write_checkpoint
from rpucc.runtime.counters import MOST_DRAWS
from rpucc.runtime.interrupt import Interrupt, deferred_interrupt
from rpucc.runtime.kernels.philox import shuffle
from rpucc.runtime.layer_stats import layer_stats
from rpucc.runtime.learning_rate import check_rate
from rpucc.runtime.metrics import EpochMetrics, Progress, StepMetrics
from rpucc.runtime.scoring import Scoring

if TYPE_CHECKING:
    from rpucc.runtime.callbacks import Callbacks
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.feed import Feed, Rows
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Evaluation
    from rpucc.runtime.step import Step

Array = NDArray[Any]

PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Settings:
    """How to train: checked arguments of `Trainer.fit`."""

    epochs: int
    """In total, counted from the machine's first one."""
    batch_size: int
    rate: Callable[[int], float]
    """The learning rate of an epoch; the first is 0."""
    checkpoint: Path | None


class Steps(Protocol):
    """What epochs ask of a trainer."""

    machine: Machine
    feed: Feed

    def step(self, batch: int) -> Step:
        """Return the training step of this many samples."""

    def evaluate(self, data: Samples, y: Array) -> Evaluation:
        """Return loss and error over samples."""

    def take_counts(self) -> dict[str, Array]:
        """Return what training steps counted since this was last asked, by layer."""


class Training:
    """Trains a machine, in place, from where it stands."""

    def __init__(
        self, trainer: Steps, dataset: Dataset, settings: Settings, callbacks: Callbacks
    ) -> None:
        """Take a data set that fits the program; raises an error where it cannot be trained on."""
        self.trainer, self.machine = trainer, trainer.machine
        self.dataset, self.settings, self.callbacks = dataset, settings, callbacks
        self._check_counts(len(dataset.y_train))
        self._rows: Rows = trainer.feed.rows(dataset.x_train, "x_train")
        trainer.feed.rows(dataset.x_test, "x_test")
        program = self.machine.program
        self._scoring = Scoring.of(program, dataset.y_train)
        self._has_loss = program.step.metric("loss") is not None
        self._test_seconds: float | None = None
        self._interrupt = Interrupt()

    def run(self) -> list[EpochMetrics]:
        """Train to the last epoch; returns the metrics of all epochs of the machine."""
        machine, settings = self.machine, self.settings
        history = [EpochMetrics.from_record(record) for record in machine.history]
        self.trainer.take_counts()  # of steps before this training
        with deferred_interrupt() as self._interrupt:
            try:
                while machine.counters.epoch < settings.epochs:
                    rate = settings.rate(machine.counters.epoch)
                    seconds = self._epoch(rate)
                    self._count_layers()
                    counted = machine.counters.layers
                    metrics = self._close_epoch(rate, *seconds)
                    machine.history.append(metrics.reproducible())
                    history.append(metrics)
                    self._save()
                    if self.callbacks.watch_layers:
                        self.callbacks.on_layer_stats(layer_stats(machine, metrics.epoch, counted))
                    self.callbacks.on_epoch(metrics)
                    self._interrupt.check()
            except KeyboardInterrupt:
                self._count_layers()
                self._save()
                raise
        return history

    def _epoch(self, lr: float) -> tuple[float, float]:
        """Train to the end of the epoch; returns the seconds and the samples a second."""
        check_rate(lr)
        counters = self.machine.counters
        labels, n = self.dataset.y_train, len(self._rows)
        order = np.arange(n)
        shuffle(order, counters.earlier + counters.epoch, *self.machine.key)
        epoch, watched = counters.epoch + 1, self.callbacks.watch_steps
        started, begun, reported = time.perf_counter(), counters.done, 0.0
        while counters.done < n:
            step: Step = self.trainer.step(min(self.settings.batch_size, n - counters.done))
            chosen = labels[order[counters.done : counters.done + step.size]]
            loss = step.run(self._rows, order, chosen, lr, counters, self._scoring)
            if watched:
                self.callbacks.on_step(StepMetrics(epoch, counters.done, step.size, loss, lr))
            now = time.perf_counter()
            if now - reported > PROGRESS_SECONDS or counters.done == n:
                reported = now
                self._check_loss()
                self._report(n, (counters.done - begun) / max(now - started, 1e-9))
            self._interrupt.check()
        seconds = time.perf_counter() - started
        return seconds, (n - begun) / max(seconds, 1e-9)

    def _count_layers(self) -> None:
        """Bring what the epoch under way counted in each layer up to date, if anyone asks."""
        if self.callbacks.watch_layers:
            layers = self.machine.counters.layers
            for layer, counts in self.trainer.take_counts().items():
                before = layers.get(layer, [0] * len(counts))
                layers[layer] = [a + int(b) for a, b in zip(before, counts, strict=True)]

    def _report(self, samples: int, rate: float) -> None:
        counters = self.machine.counters
        self.callbacks.on_progress(
            Progress(
                counters.epoch + 1,
                self.settings.epochs,
                counters.done,
                samples,
                self._mean(counters.loss_sum, counters.done),
                rate,
                test_samples=len(self.dataset.y_test),
                test_seconds=self._test_seconds,
            )
        )

    def _close_epoch(self, lr: float, seconds: float, rate: float) -> EpochMetrics:
        counters, dataset = self.machine.counters, self.dataset
        n = counters.done
        test = self.trainer.evaluate(dataset.x_test, dataset.y_test)
        self._test_seconds = test.seconds
        metrics = EpochMetrics(
            epoch=counters.epoch + 1,
            samples=n,
            train_loss=self._mean(counters.loss_sum, n),
            train_error=self._scoring.rate(counters.errors, dataset.y_train, n),
            test_loss=test.loss,
            test_error=test.error,
            pulses_per_weight=counters.pulses / max(self.machine.weights, 1),
            reads=int(counters.reads[0]),
            saturated_reads=int(counters.reads[1]),
            rereads=int(counters.reads[2]),
            lr=lr,
            seconds=seconds,
            samples_per_second=rate,
        )
        self.machine.counters = counters.next_epoch()
        return metrics

    def _mean(self, loss_sum: float, samples: int) -> float:
        return loss_sum / samples if self._has_loss else math.nan

    def _check_counts(self, samples: int) -> None:
        """Every sample and every epoch has random draws of its own, and the machine is in reach."""
        counters, epochs = self.machine.counters, self.settings.epochs
        if counters.done > samples:
            raise DataError("the checkpoint is further into its epoch than this data set is long")
        to_do = max(epochs - counters.epoch, 0) * samples
        if max(epochs, counters.sample + to_do) > MOST_DRAWS:
            raise RpuccError(
                f"{epochs:,} epochs of {samples:,} samples after {counters.sample:,} samples: "
                f"random numbers would repeat after {MOST_DRAWS:,}; train fewer"
            )

    def _check_loss(self) -> None:
        counters = self.machine.counters
        if not math.isfinite(counters.loss_sum):
            raise RpuccError(
                f"the loss is not finite at sample {counters.done:,} of epoch "
                f"{counters.epoch + 1}: training diverged; a smaller --lr may help"
            )

    def _save(self) -> None:
        if self.settings.checkpoint is not None:
            machine = self.machine
            write_checkpoint(machine.checkpoint(), machine.program, self.settings.checkpoint)
