"""Training and evaluating a machine: epochs, metrics, progress, checkpoints.

Not for how a step is computed: that is the program, run by the executor.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments
from rpucc.errors import DataError, RpuccError
from rpucc.runtime.data.dataset import as_array, as_labels, as_samples
from rpucc.runtime.data.fit import fitted
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.layout import arranged
from rpucc.runtime.data.load import load_dataset
from rpucc.runtime.executor import Executor
from rpucc.runtime.interrupt import Interrupt, deferred_interrupt
from rpucc.runtime.kernels.batches import gather
from rpucc.runtime.kernels.philox import shuffle
from rpucc.runtime.learning_rate import CONSTANT, check_rate, parse_schedule
from rpucc.runtime.machine import MOST_DRAWS, Machine
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.metrics import EpochMetrics, Evaluation, Progress
from rpucc.runtime.scoring import Scoring
from rpucc.runtime.step import Step
from rpucc.runtime.threads import Threads

if TYPE_CHECKING:
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.data.load import DataSource

Array = NDArray[Any]

PROGRESS_SECONDS = 0.1
MACHINE = "a Machine, as rpucc.Machine(program, seed=0) makes and rpucc.load_checkpoint reads"


class Trainer:
    """Trains the machine's weights in place, and evaluates them.

    machine: what `rpucc.Machine` or `rpucc.load_checkpoint` returns.
    threads: CPU threads, 1 or more; results do not depend on it.

    Raises ArgumentError for other arguments.

    >>> import rpucc
    >>> program = rpucc.compile("mlp", "ideal", verify=False)
    >>> trainer = rpucc.Trainer(rpucc.Machine(program, seed=0))
    >>> history = trainer.fit(rpucc.load_dataset("mnist-mini"), epochs=1, batch_size=10, lr=1.0)
    >>> history[0].test_error < 0.5
    True
    """

    def __init__(self, machine: Machine, threads: int = 1) -> None:
        self.machine = arguments.instance("Trainer(machine)", machine, Machine, MACHINE)
        self.threads = Threads(arguments.integer("threads", threads, 1))
        self._executors: dict[tuple[int, bool, tuple[str, ...]], Executor] = {}
        self._steps: dict[int, Step] = {}
        self._test_seconds: float | None = None
        self._scoring: Scoring
        self._interrupt = Interrupt()
        metadata = machine.program.model.metadata_props
        graph = machine.program.model.graph
        self._input = metadata.get("rpucc.input") or str(graph.inputs[0].name)
        self._output = metadata.get("rpucc.output") or str(graph.outputs[0].name)
        self._loss = metadata.get("rpucc.loss_value", "")
        self._labels = metadata.get("rpucc.labels", "")
        self._lr = metadata.get("rpucc.lr", "")

    def fit(
        self,
        dataset: DataSource,
        *,
        epochs: int,
        batch_size: int = 1,
        lr: float = 0.01,
        lr_schedule: str = CONSTANT,
        checkpoint: Path | str | None = None,
        on_epoch: Callable[[EpochMetrics], None] | None = None,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> list[EpochMetrics]:
        """Train until `epochs` epochs are complete, counted from the machine's first one.

        Continues where the machine stands: a loaded checkpoint goes on at its very sample, and
        `epochs=5` after `epochs=3` trains two more.

        dataset: a Dataset, or what `rpucc.load_dataset` makes one of: arrays (x_train, y_train,
            x_test, y_test), arrays (x, y) whose last tenth becomes the test part, a dictionary with
            these keys, an .npz file, a folder of IDX files or a name such as "mnist-mini".
        epochs: 1 or more, in total.
        batch_size: samples a step. The loss is a mean over them, so that a sample moves the weights
            by lr / batch_size: multiply lr by the batch size to learn as fast as with 1.
        lr: the learning rate of the first epoch, above 0.
        lr_schedule: the rates of the epochs after it, as text:
            "constant"            lr in all epochs
            "step:EPOCHS:FACTOR"  times FACTOR, in (0, 1], every EPOCHS epochs: "step:10:0.5"
            "cosine:EPOCHS:FLOOR" half a cosine down to FLOOR times lr, FLOOR in (0, 1], reached in
                                  epoch EPOCHS, 2 or more, and kept: "cosine:30:0.1"
            "EPOCH=LR,EPOCH=LR,…" these rates from these epochs on, which count from 1 and rise:
                                  "11=0.005,21=0.001"
            A layer's own rate is a multiple of it, `update.lr_scale` of the target.
        checkpoint: a file that gets the machine's state after every epoch and on Ctrl-C
            (KeyboardInterrupt is raised on); its folder has to be there.
        on_epoch: called with the EpochMetrics of each epoch when it is complete.
        on_progress: called with a Progress about ten times a second.

        Returns the EpochMetrics of all epochs of the machine, errors as fractions of the labels.
        Raises ArgumentError for a wrong argument, DataError where the data do not fit the model,
        OutputError where the checkpoint cannot be written, and RpuccError if the program was
        compiled for inference or the loss stops being finite.

        >>> import rpucc
        >>> trainer = Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
        >>> history = trainer.fit(
        ...     "mnist-mini", epochs=3, batch_size=10, lr=1.0, lr_schedule="step:1:0.5"
        ... )
        >>> [epoch.lr for epoch in history]
        [1.0, 0.5, 0.25]
        """
        if not self._lr:
            raise RpuccError(
                "the program was compiled for inference: compile it without --inference to train"
            )
        epochs = arguments.integer("epochs", epochs, 1)
        batch_size = arguments.integer("batch_size", batch_size, 1)
        lr = arguments.positive("lr", lr)
        schedule = parse_schedule(lr_schedule)
        arguments.function("on_epoch", on_epoch, "a function of an EpochMetrics")
        arguments.function("on_progress", on_progress, "a function of a Progress")
        place = None
        if checkpoint is not None:
            from rpucc.runtime.checkpoint import checkpoint_place

            place = checkpoint_place(checkpoint)
        dataset = self._fitted(load_dataset(dataset))
        self._check_draws(len(dataset.x_train), epochs)
        machine = self.machine
        features = _flat(dataset.x_train)
        history = [EpochMetrics.from_record(record) for record in machine.history]
        with deferred_interrupt() as self._interrupt:
            try:
                while machine.counters.epoch < epochs:
                    rate = schedule(lr, machine.counters.epoch)
                    seconds = self._epoch(features, dataset, epochs, batch_size, rate, on_progress)
                    metrics = self._close_epoch(dataset, rate, *seconds)
                    machine.history.append(metrics.reproducible())
                    history.append(metrics)
                    self._save(place)
                    if on_epoch is not None:
                        on_epoch(metrics)
                    self._interrupt.check()
            except KeyboardInterrupt:
                self._save(place)
                raise
        return history

    def evaluate(self, x: Array, y: Array, batch_size: int | None = None) -> Evaluation:
        """Loss (nan where the program has none) and error over samples, without training.

        x: samples [n, ...] of the model's shape, uint8 (0..255) or floating point in the program's
            input range; y: integer labels [n] (or one a pixel), or floating-point targets.
        batch_size: how many at once, None for what fits in memory; results do not depend on it.

        Returns an Evaluation. Raises DataError where the arrays do not fit the model, ArgumentError
        for a wrong batch size.

        >>> import rpucc
        >>> trainer = Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
        >>> data = rpucc.load_dataset("mnist-mini")
        >>> trainer.evaluate(data.x_test, data.y_test).samples
        1000
        """
        x, y = as_samples(x, "x"), as_labels(y, "y")
        if len(x) != len(y):
            raise DataError(f"{len(x)} samples but {len(y)} labels: each sample needs one label")
        started = time.perf_counter()
        loss, errors, scoring = 0.0, 0, None
        reads = np.zeros(3, np.int64)
        has_loss = bool(self._loss)
        for first, executor in self._batches(x, batch_size):
            executor.run_state.reads[:] = 0
            if scoring is None:
                y, scoring = self._scored(y, executor[self._output].shape)
            if has_loss:
                executor[self._labels][...] = y[first : first + executor.batch]
            executor.run(self.machine.counters.sample + first)
            outputs = executor[self._output]
            errors += scoring.errors(outputs, y[first : first + len(outputs)])
            reads += executor.run_state.reads
            if has_loss:
                loss += float(executor[self._loss]) * executor.batch
        assert scoring is not None  # there is at least one batch
        n = len(x)
        seconds = time.perf_counter() - started
        loss = loss / n if has_loss else math.nan
        return Evaluation(
            samples=n,
            loss=loss,
            error=scoring.rate(errors, y, n),
            reads=int(reads[0]),
            saturated_reads=int(reads[1]),
            rereads=int(reads[2]),
            seconds=seconds,
            labels_per_sample=scoring.per_sample(y),
        )

    def predict(self, x: Array, batch_size: int | None = None) -> NDArray[np.float32]:
        """The network's output (logits) for samples, float32 [n, ...].

        x, batch_size, errors: as `evaluate`. One sample needs its batch axis: x[None]. A model may
        have more outputs: `outputs` gives them.
        """
        return self.outputs(x, (self._output,), batch_size)[self._output]

    def outputs(
        self, x: Array, names: Sequence[str] | None = None, batch_size: int | None = None
    ) -> dict[str, Array]:
        """Outputs of the network by name, each [n, ...]: `names`, or all that it has.

        What has no axis of samples (an output of a model with a fixed batch) is joined batch by
        batch. x, batch_size, errors: as `evaluate`, and RpuccError for a name that is none of its
        outputs.
        """
        known = self.machine.program.outputs
        if names is None:
            names = known
        names = arguments.strings("names", names, "a list of names, or None for all outputs")
        for name in names:
            if name not in known:
                raise RpuccError(f"no output is called {name!r}; there are {', '.join(known)}")
        found: dict[str, list[Array]] = {name: [] for name in names}
        for first, executor in self._batches(x, batch_size, names):
            executor.run(self.machine.counters.sample + first)
            for name, parts in found.items():
                parts.append(np.atleast_1d(executor[name]).copy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def error(self, outputs: Array, labels: Array) -> float | None:
        """The share of wrong labels, as `evaluate` counts them; None for targets of a regression.

        outputs: what `predict` returned for the samples; raises DataError for labels of no class.
        """
        outputs, labels = as_array(outputs, "outputs"), as_labels(labels, "labels")
        if len(outputs) != len(labels):
            raise DataError(f"{len(outputs)} outputs but {len(labels)} labels; each needs one")
        y, scoring = self._scored(labels, outputs.shape)
        return scoring.rate(scoring.errors(outputs, y), y, len(y))

    def executor(self, batch: int, *, evaluating: bool, also: Sequence[str] = ()) -> Executor:
        """The executor of a batch size, which computes the values `also`, too; made once."""
        batch = arguments.integer("batch", batch, 1)
        extra = tuple(name for name in also if name != self._output)
        key = (batch, evaluating, extra)
        if key not in self._executors:
            outputs = [self._output, *extra] + ([self._loss] if self._loss else [])
            if not evaluating:
                outputs += list(self.machine.updates.values())
            self._executors[key] = Executor(
                self.machine, batch, outputs, threads=self.threads, evaluating=evaluating
            )
        return self._executors[key]

    # -----------------------------------------------------------------------------------------

    def _epoch(
        self, features: Array, dataset: Dataset, epochs: int, batch_size: int, lr: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> tuple[float, float]:  # fmt: skip
        """Train to the end of the epoch; returns the seconds and the samples a second."""
        check_rate(lr)
        counters = self.machine.counters
        labels, n = dataset.y_train, len(features)
        order = np.arange(n)
        shuffle(order, counters.earlier + counters.epoch, *self.machine.key)
        started, begun, reported = time.perf_counter(), counters.done, 0.0
        while counters.done < n:
            size = min(batch_size, n - counters.done)
            self._step(features, labels, order, size, lr)
            now = time.perf_counter()
            if now - reported > PROGRESS_SECONDS or counters.done == n:
                reported = now
                self._check_loss()
                if on_progress is not None:
                    rate = (counters.done - begun) / max(now - started, 1e-9)
                    loss = counters.loss_sum / counters.done
                    epoch = counters.epoch + 1
                    on_progress(
                        Progress(
                            epoch, epochs, counters.done, n, loss, rate,
                            test_samples=len(dataset.x_test), test_seconds=self._test_seconds,
                        )
                    )  # fmt: skip
            self._interrupt.check()
        seconds = time.perf_counter() - started
        return seconds, (n - begun) / max(seconds, 1e-9)

    def _step(self, features: Array, labels: Array, order: Array, size: int, lr: float) -> None:
        counters = self.machine.counters
        step = self._steps.get(size)
        if step is None:
            executor = self.executor(size, evaluating=False)
            names = (self._input, self._labels, self._lr, self._loss, self._output)
            step = self._steps[size] = Step(executor, *(executor[name] for name in names))
        chosen = labels[order[counters.done : counters.done + size]]
        scaling = self._scaling(features.dtype)
        step.run(features, order, chosen, lr, counters, self._scoring, scaling)

    def _close_epoch(
        self, dataset: Dataset, lr: float, seconds: float, rate: float
    ) -> EpochMetrics:
        counters = self.machine.counters
        n = counters.done
        test = self.evaluate(dataset.x_test, dataset.y_test)
        self._test_seconds = test.seconds
        metrics = EpochMetrics(
            epoch=counters.epoch + 1,
            samples=n,
            train_loss=counters.loss_sum / n,
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

    def _batches(self, x: Array, batch_size: int | None, also: Sequence[str] = ()) -> Any:
        """Yield (first sample, executor with its input filled) over all samples."""
        if batch_size is None:
            batch_size = evaluation_batch(self.machine.program)
        batch_size = arguments.integer("batch_size", batch_size, 1)
        batch_size = self.machine.program.fixed_batch or batch_size
        x = arranged(as_samples(x, "x"), self._sample_shape(), "x")
        self._check_range(x)
        features = _flat(x)
        order = np.arange(len(x))
        scale, shift = self._scaling(features.dtype)
        for first in range(0, len(x), batch_size):
            size = min(batch_size, len(x) - first)
            executor = self.executor(size, evaluating=True, also=also)
            batch = executor[self._input].reshape(executor.batch, -1)
            gather(features, order, first, batch, scale, shift)
            yield first, executor

    def _scored(self, y: Array, output: tuple[int, ...]) -> tuple[Array, Scoring]:
        """Labels as outputs of a shape [n, ...] are compared with them, and how that is done."""
        program = self.machine.program
        y = fitted_labels(y, output[1:], program.loss, "labels")
        return y, Scoring.of(program, y, len(output))

    def _sample_shape(self) -> tuple[int, ...]:
        """The shape of a sample, which is the same for any batch size."""
        inputs = {value.name: value for value in self.machine.program.model.graph.inputs}
        shape = inputs[self._input].shape
        return () if shape is None else tuple(dim for dim in shape[1:] if isinstance(dim, int))

    def _scaling(self, dtype: np.dtype[Any]) -> tuple[np.float32, np.float32]:
        """Scale and shift that bring stored samples into the program's input range."""
        low, high = self.machine.program.input_range
        if dtype == np.uint8:
            return np.float32((high - low) / 255), np.float32(low)
        return np.float32(1), np.float32(0)

    def _check_range(self, x: Array) -> None:
        """Noise management was planned for inputs within the program's range."""
        if x.dtype == np.uint8 or not x.size:
            return
        low, high = self.machine.program.input_range
        least, most = float(np.min(x)), float(np.max(x))
        if not math.isfinite(least + most):
            raise DataError("the samples hold NaN or infinity; clean them (np.nan_to_num)")
        slack = 1e-3 * (high - low)
        if not (low - slack <= least and most <= high + slack):
            raise DataError(
                f"the samples span {least:.4g} to {most:.4g}, beyond the program's input range "
                f"{low:g} to {high:g}: compile with --input-range {math.floor(least)} "
                f"{math.ceil(most)}, or scale them"
            )

    def _check_draws(self, samples: int, epochs: int) -> None:
        """Every sample and every epoch has random draws of its own."""
        counters = self.machine.counters
        to_do = max(epochs - counters.epoch, 0) * samples
        if max(epochs, counters.sample + to_do) > MOST_DRAWS:
            raise RpuccError(
                f"{epochs:,} epochs of {samples:,} samples after {counters.sample:,} samples: "
                f"random numbers would repeat after {MOST_DRAWS:,}; train fewer"
            )

    def _fitted(self, dataset: Dataset) -> Dataset:
        """The data set with samples of the model's shape; all of it is checked before a step."""
        if self.machine.counters.done > len(dataset.x_train):
            raise DataError("the checkpoint is further into its epoch than this data set is long")
        executor = self.executor(self.machine.program.fixed_batch or 1, evaluating=True)
        sample, output = (executor[name].shape[1:] for name in (self._input, self._output))
        if executor[self._output].shape[0] != executor.batch:
            raise RpuccError(
                f"output {self._output!r} {list(executor[self._output].shape)}: its first axis is "
                f"not the batch ({executor.batch}), so its rows are no samples that labels could "
                "belong to; export the model with an output [batch, classes]"
            )
        dataset = fitted(dataset, sample, output, self.machine.program.loss)
        self._scoring = Scoring.of(self.machine.program, dataset.y_train, len(output) + 1)
        self._check_range(dataset.x_train)
        self._check_range(dataset.x_test)
        return dataset

    def _check_loss(self) -> None:
        counters = self.machine.counters
        if not math.isfinite(counters.loss_sum):
            raise RpuccError(
                f"the loss is not finite at sample {counters.done:,} of epoch "
                f"{counters.epoch + 1}: training diverged; a smaller --lr may help"
            )

    def _save(self, checkpoint: Path | None) -> None:
        if checkpoint is not None:
            from rpucc.runtime.checkpoint import save_checkpoint

            save_checkpoint(self.machine, checkpoint)


def _flat(x: Array) -> Array:
    """Samples as rows, in one of the two types that the kernels take."""
    x = x.reshape(len(x), -1)
    return x if x.dtype == np.uint8 else np.asarray(x, np.float32)
