"""The epochs of one call of `Trainer.fit`: steps, metrics, what is told and what is saved.

Not for what a step is (`step.py`), nor for the arguments of a training (`trainer.py`).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rpucc import run_files
from rpucc.errors import DataError, RpuccError, UsageError
from rpucc.losses import NONE
from rpucc.runtime.augment import Augmentation
from rpucc.runtime.batches import ArrayBatches, Batches, StreamBatches
from rpucc.runtime.checkpoint_file import write_checkpoint
from rpucc.runtime.counters import check_draws
from rpucc.runtime.data.streams import Streamed
from rpucc.runtime.interrupt import Interrupt, deferred_interrupt
from rpucc.runtime.keep import Keep
from rpucc.runtime.layer_stats import layer_stats
from rpucc.runtime.learning_rate import Schedule, parse_schedule
from rpucc.runtime.metrics import EpochMetrics, Epochs, Progress, RunInfo, StepMetrics
from rpucc.runtime.rates import Rates
from rpucc.runtime.scoring import Scoring
from rpucc.runtime.watch import Watch

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.callbacks import Callbacks
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.feed import Feed
    from rpucc.runtime.machine import Machine
    from rpucc.runtime.metrics import Ended, Evaluation
    from rpucc.runtime.step import Step
    from rpucc.runtime.validation import Validation

Array = NDArray[Any]

PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class Settings:
    """How to train: checked arguments of `Trainer.fit`."""

    epochs: int
    """In total, counted from the machine's first one."""
    batch_size: int
    lr: float
    """Of the first epoch."""
    lr_schedule: str
    checkpoint: Path | None
    watch: Watch = field(default_factory=Watch)
    keep: Keep = field(default_factory=Keep)
    top_k: int | None = None
    """Of the test after every epoch."""
    augment: object = ()
    """What is done to the samples of each step: `augment.py`."""

    @cached_property
    def schedule(self) -> Schedule:
        """The rates of the epochs."""
        return parse_schedule(self.lr_schedule)

    @property
    def watching(self) -> tuple[str, ...]:
        """What watches how epochs come out."""
        return self.watch.needed(best=self.keep.best, plateau=self.schedule.watches)

    def check(self, *, validated: bool) -> None:
        """Raise an error for what is wrong by itself, or contradicts each other."""
        self.watch.check(self.watching, validated=validated)
        if self.keep != Keep() and self.checkpoint is None:
            raise UsageError("keep: needs checkpoint=, the file that the others lie beside")


def check_objective(
    program: Program, labels: Array, batch_size: int, top_k: int | None
) -> int | None:
    """Raise an error where a batch makes class weights idle, or there is no such top_k; return it.

    A mean over one label is that label's loss, whatever the label weighs. labels: as the program
    takes them, [n, ...].
    """
    if program.step.outside:
        raise RpuccError(
            f"the program has no loss (compiled with loss = {NONE}): train it in a loop of your "
            "own (docs/own-loop.md), or compile it with a loss"
        )
    scoring, loss = Scoring.of(program, labels), program.step.metric("loss")
    weighted = loss is not None and loss.weight is not None
    if weighted and batch_size * scoring.per_sample(labels) == 1:
        raise RpuccError(
            "class weights do nothing with a batch of 1: the loss is a mean that they weight, and "
            "the mean over one label is that label's loss; --batch-size 2 or more"
        )
    return scoring.check_top(top_k)


class Steps(Protocol):
    """What epochs ask of a trainer."""

    machine: Machine
    feed: Feed

    def step(self, batch: int) -> Step:
        """Return the training step of this many samples."""

    def evaluate(self, data: Samples, y: Array, *, top_k: int | None = None) -> Evaluation:
        """Return loss and errors over samples."""

    def take_counts(self) -> dict[str, Array]:
        """Return what training steps counted since this was last asked, by layer."""


class Training:
    """Trains a machine, in place, from where it stands."""

    def __init__(
        self,
        trainer: Steps,
        dataset: Dataset,
        settings: Settings,
        callbacks: Callbacks,
        validation: Validation | None = None,
    ) -> None:
        """Take data that fit the program; raises an error where it cannot be trained on."""
        self.trainer, self.machine = trainer, trainer.machine
        self.dataset, self.settings, self.callbacks = dataset, settings, callbacks
        self.validation = validation
        self._rates = Rates(self.machine)
        self._batches = self._batches_of(dataset)
        self._check_counts(self._batches.samples)
        trainer.feed.rows(dataset.x_test, "x_test")
        if validation is not None:
            trainer.feed.rows(validation.x, "validation")
        program = self.machine.program
        self._scoring = Scoring.of(program, dataset.y_train)
        self._top_k = check_objective(program, dataset.y_train, settings.batch_size, settings.top_k)
        self._has_loss = program.step.metric("loss") is not None
        self._check_watched()
        if program.step.mode is not None:
            self._make_steps()
        augmentation = Augmentation(settings.augment, program, trainer.feed, dataset.y_train)
        key = self.machine.key
        self._change = partial(augmentation.apply, key=key) if augmentation else None
        self._test_seconds: float | None = None
        self._interrupt = Interrupt()

    def run(self) -> Epochs:
        """Train to the last epoch; returns the metrics of all epochs of the machine."""
        history = Epochs(EpochMetrics.from_record(record) for record in self.machine.history)
        self.trainer.take_counts()  # of steps before this training
        ended: Ended = "failed"
        with deferred_interrupt() as self._interrupt:
            try:
                self.callbacks.on_start(self._info(history))
                ended = self._epochs(history)
            except KeyboardInterrupt:
                ended = "interrupted"
                self._count_layers()
                self._check_weights()
                self._save()
                raise
            finally:
                self.callbacks.on_finish(ended)
        return history

    def _epochs(self, history: list[EpochMetrics]) -> Ended:
        """Train epoch after epoch, each of which is added to the history."""
        machine, settings = self.machine, self.settings
        while machine.counters.epoch < settings.epochs:
            if settings.watch.stopped(machine.history):
                return "stopped early"
            rate = self._rate()
            seconds = self._epoch(rate)
            self._count_layers()
            counted = machine.counters.layers
            metrics = self._close_epoch(rate, *seconds)
            machine.history.append(metrics.reproducible())
            history.append(metrics)
            if self.callbacks.watch_layers:
                self.callbacks.on_layer_stats(layer_stats(machine, metrics.epoch, counted))
            self._keep()
            self._save()
            self.callbacks.on_epoch(metrics)
            self._interrupt.check()
        return "complete"

    def _info(self, history: list[EpochMetrics]) -> RunInfo:
        machine, settings, validation = self.machine, self.settings, self.validation
        return RunInfo(
            program=machine.program.name,
            target=machine.program.target.name,
            seed=machine.seed,
            weights=machine.weights,
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            lr=settings.lr,
            lr_schedule=settings.lr_schedule,
            samples=self._batches.samples,
            validation_samples=0 if validation is None else len(validation.y),
            test_samples=len(self.dataset.y_test),
            done=machine.counters.done,
            history=tuple(history),
        )

    def _rate(self) -> float:
        """Return the rate of the epoch under way."""
        settings, watch = self.settings, self.settings.watch
        watched = watch.values(self.machine.history) if settings.schedule.watches else ()
        epoch = self.machine.counters.epoch
        return settings.schedule(settings.lr, epoch, watched, watch.min_delta)

    def _epoch(self, lr: float) -> tuple[float, float]:
        """Train to the end of the epoch; returns the seconds and the samples a second."""
        counters = self.machine.counters
        self._rates.check(lr, f" in epoch {counters.epoch + 1}")
        epoch, watched = counters.epoch + 1, self.callbacks.watch_steps
        started, begun, reported = time.perf_counter(), counters.done, 0.0
        for batch in self._batches.epoch(counters, self.machine.key):
            step: Step = self.trainer.step(len(batch.labels))
            loss = step.run(*batch, lr, counters, self._scoring, self._change)
            if watched:
                self.callbacks.on_step(StepMetrics(epoch, counters.done, step.size, loss, lr))
            now = time.perf_counter()
            if now - reported > PROGRESS_SECONDS or counters.done == self._batches.samples:
                reported = now
                self._check_loss()
                self._report(
                    self._batches.samples, (counters.done - begun) / max(now - started, 1e-9)
                )
            self._interrupt.check()
        seconds = time.perf_counter() - started
        self._check_loss()
        self._check_weights()
        return seconds, (counters.done - begun) / max(seconds, 1e-9)

    def _batches_of(self, dataset: Dataset) -> Batches:
        """What is trained on: arrays, or the batches of a stream."""
        counters, settings = self.machine.counters, self.settings
        if not isinstance(dataset, Streamed):
            chosen = None if self.validation is None else self.validation.trained
            return ArrayBatches(self.trainer.feed, dataset, settings.batch_size, chosen)
        resumable = settings.checkpoint is not None or counters.done > 0
        to_do = settings.epochs - counters.epoch
        return StreamBatches(self.trainer.feed, dataset, to_do, resumable=resumable)

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
                self._mean_loss(),
                rate,
                test_samples=sum(self._evaluated),
                test_seconds=self._test_seconds,
            )
        )

    def _close_epoch(self, lr: float, seconds: float, rate: float) -> EpochMetrics:
        counters, dataset = self.machine.counters, self.dataset
        n = counters.done
        test = self.trainer.evaluate(dataset.x_test, dataset.y_test, top_k=self._top_k)
        self._test_seconds = test.seconds
        held: Evaluation | None = None
        if self.validation is not None:
            held = self.trainer.evaluate(self.validation.x, self.validation.y)
            self._test_seconds += held.seconds
        metrics = EpochMetrics(
            epoch=counters.epoch + 1,
            samples=n,
            train_loss=self._mean_loss(),
            train_error=self._scoring.rate(counters.errors, dataset.y_train, n),
            test_loss=test.loss,
            test_error=test.error,
            pulses_per_weight=counters.pulses / max(self.machine.weights, 1),
            reads=int(counters.reads[0]),
            saturated_reads=int(counters.reads[1]),
            rereads=int(counters.reads[2]),
            lr=lr,
            validation_loss=None if held is None else held.loss,
            validation_error=None if held is None else held.error,
            top_k=test.top_k,
            test_top_k_error=test.top_k_error,
            seconds=seconds,
            samples_per_second=rate,
        )
        self.machine.counters = counters.next_epoch()
        return metrics

    @property
    def _evaluated(self) -> list[int]:
        """Samples that are tested, and validated on, after every epoch."""
        validated = [] if self.validation is None else [len(self.validation.y)]
        return [len(self.dataset.y_test), *validated]

    def _mean_loss(self) -> float:
        """The loss of the epoch under way so far, at least one step of which is done."""
        counters = self.machine.counters
        counted = counters.loss_weight or counters.done
        return counters.loss_sum / counted if self._has_loss else math.nan

    def _check_counts(self, samples: int) -> None:
        """Every sample and every epoch has random draws of its own, and the machine is in reach."""
        counters, epochs = self.machine.counters, self.settings.epochs
        if samples and counters.done > samples:
            raise DataError("the checkpoint is further into its epoch than this data set is long")
        to_do = max((epochs - counters.epoch) * samples - counters.done, 0)
        last = counters.sample + to_do + (max(self._evaluated) if to_do else 0)
        doing = f"{epochs:,} epochs of {samples:,} samples after {counters.sample:,} samples: "
        check_draws(max(counters.earlier + epochs, last), doing)

    def _make_steps(self) -> None:
        """Make the step of each size that arrays need before the first of them.

        A batch norm may have no statistics in the step of a sample that is left over, which would
        end the training after an epoch.
        """
        size, samples = self.settings.batch_size, self._batches.samples
        for each in {min(size, samples) or size, samples % size or size}:
            self.trainer.step(each)

    def _check_watched(self) -> None:
        """Hold that the program has what is watched, where anything is."""
        watch, watching = self.settings.watch, self.settings.watching
        lacks = not self._has_loss if "loss" in watch.monitor else self._scoring.kind == "targets"
        if watching and lacks:
            raise UsageError(
                f"{watching[0]} watches the {watch.monitor}, which this training does not have; "
                f"monitor {watch.other} instead"
            )

    def _check_loss(self) -> None:
        counters = self.machine.counters
        if not math.isfinite(counters.loss_sum):
            raise RpuccError(
                f"the loss is not finite at sample {counters.done:,} of epoch "
                f"{counters.epoch + 1}: training diverged; a smaller --lr may help"
            )

    def _check_weights(self) -> None:
        """The last update of an epoch shows in no loss of it; what it spoilt is not written."""
        for name, array in self.machine.state().items():
            if not np.isfinite(array).all():
                counters = self.machine.counters
                raise RpuccError(
                    f"the weights {name!r} are not finite after sample {counters.done:,} of epoch "
                    f"{counters.epoch + 1}: training diverged; a smaller --lr may help"
                )

    def _keep(self) -> None:
        """Write what is kept of an epoch that is complete.

        Before the last checkpoint: whoever is stopped between them trains this epoch once more, to
        the same bits, and writes both.
        """
        place, keep, machine = self.settings.checkpoint, self.settings.keep, self.machine
        if place is not None:
            if keep.best and self.settings.watch.is_best(machine.history):
                self._write(run_files.best_of(place))
            if keep.epoch(machine.counters.epoch):
                self._write(run_files.epoch_of(place, machine.counters.epoch))

    def _save(self) -> None:
        if self.settings.checkpoint is not None:
            self._write(self.settings.checkpoint)

    def _write(self, place: Path) -> None:
        write_checkpoint(self.machine.checkpoint(), self.machine.program, place)
