"""Training and evaluating a machine: what its user calls.

Not for how a step is computed (the program, run by the executor), nor for the epochs of a training
(`training.py`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from numbers import Real
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, limits
from rpucc.errors import ArgumentError, DataError, RpuccError
from rpucc.exact_operators import inexact
from rpucc.runtime.callbacks import Callback, Callbacks
from rpucc.runtime.checkpoint_file import checkpoint_place
from rpucc.runtime.data.dataset import Dataset, as_array, as_labels
from rpucc.runtime.data.fit import fitted
from rpucc.runtime.data.given import given_data, given_labelled, given_samples, own_batch
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.load import SOURCES, load_dataset
from rpucc.runtime.data.streams import Streamed
from rpucc.runtime.evaluation import EvaluationSums
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import Feed, fill
from rpucc.runtime.keep import LAST, parse_keep
from rpucc.runtime.kept import Kept
from rpucc.runtime.learning_rate import CONSTANT
from rpucc.runtime.machine import Machine
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.metrics import Epochs, Evaluation
from rpucc.runtime.rates import check_schedule
from rpucc.runtime.recalibration import SAMPLES, recalibrate
from rpucc.runtime.scoring import Scoring
from rpucc.runtime.step import Step
from rpucc.runtime.threads import Threads
from rpucc.runtime.training import Settings, Training
from rpucc.runtime.validation import SHARE, Validation, split, whole
from rpucc.runtime.watch import watch_of

if TYPE_CHECKING:
    from rpucc.runtime.augment import Augment
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.data.load import DataSource
    from rpucc.runtime.feed import Rows
    from rpucc.runtime.recalibration import Recalibration

Array = NDArray[Any]

MACHINE = "a Machine, as rpucc.Machine(program, seed=0) makes and rpucc.Machine.load reads"


class Trainer:
    """Trains the machine's weights in place, and evaluates them.

    machine: what `rpucc.Machine` makes or `rpucc.Machine.load` reads.
    threads: CPU threads, 1 or more; results do not depend on it.

    `fit`, `evaluate` and `predict` take the same kinds of data: a Dataset, or what
    `rpucc.load_dataset` makes one of. Raises ArgumentError for other arguments.

    >>> import rpucc
    >>> program = rpucc.compile("mlp", "ideal", verify=False)
    >>> trainer = rpucc.Trainer(rpucc.Machine(program, seed=0))
    >>> history = trainer.fit("mnist-mini", epochs=1, batch_size=10, lr=1.0)
    >>> history[0].test_error < 0.5, trainer.evaluate("mnist-mini").error == history[0].test_error
    (True, True)
    """

    def __init__(self, machine: Machine, threads: int = 1) -> None:
        self.machine = arguments.instance("Trainer(machine)", machine, Machine, MACHINE)
        self.threads = Threads(arguments.integer("threads", threads, 1, limits.THREADS))
        self.feed = Feed(machine.program)
        self._executors: Kept[tuple[int, bool, bool, tuple[str, ...]], Executor] = Kept()
        self._steps: Kept[int, Step] = Kept(self._count)
        self._counts: dict[str, Array] = {}
        """Of steps that are kept no longer, as `take_counts` gives them."""
        self._revision = machine.revision

    def fit(
        self,
        data: DataSource,
        *,
        epochs: int,
        batch_size: int = 1,
        lr: float = 0.01,
        lr_schedule: str = CONSTANT,
        validation: float | DataSource | None = None,
        stop_early: int | None = None,
        min_delta: float = 0.0,
        monitor: str = "loss",
        checkpoint: Path | str | None = None,
        keep: str | Sequence[str] = LAST,
        top_k: int | None = None,
        augment: Augment | str | Sequence[Augment | str] = (),
        callbacks: Sequence[Callback] = (),
    ) -> Epochs:
        """Train until `epochs` epochs are complete, counted from the machine's first one.

        Continues where the machine stands: a loaded checkpoint goes on at its very sample, and
        `epochs=5` after `epochs=3` trains two more.

        data: a Dataset, or what `rpucc.load_dataset` makes one of: arrays (x_train, y_train,
            x_test, y_test), arrays (x, y) whose last tenth becomes the test part, a dictionary with
            these keys, a file or folder of data, or a name such as "mnist-mini". Of a network with
            several inputs each x is a dictionary of arrays by their names, and an .npz file has
            NAME_train and NAME_test of each. Or (batches, test batches) or (batches, (x_test,
            y_test)): a PyTorch DataLoader, an object or a function that gives (x, y) batch after
            batch, which is gone through once an epoch, never held as a whole, and in its own order.
            The test part is read once.
        epochs: 1 or more, in total.
        batch_size: samples a step. The loss is a mean over them, so that a sample moves the weights
            by lr / batch_size: multiply lr by the batch size to learn as fast as with 1. Batches
            that are given have the size that they have: leave it out.
        lr: the learning rate of the first epoch, above 0.
        lr_schedule: the rates of the epochs after it, as text:
            "constant"            lr in all epochs
            "step:EPOCHS:FACTOR"  times FACTOR, in (0, 1], every EPOCHS epochs: "step:10:0.5"
            "cosine:EPOCHS:FLOOR" half a cosine down to FLOOR times lr, FLOOR in (0, 1], reached in
                                  epoch EPOCHS, 2 or more, and kept: "cosine:30:0.1"
            "linear:EPOCHS:FLOOR", "polynomial:EPOCHS:FLOOR:POWER"
                                  the same in a line, or as a power of what is left
            "exponential:FACTOR"  times FACTOR every epoch
            "plateau:EPOCHS:FACTOR", "plateau:EPOCHS:FACTOR:FLOOR"
                                  times FACTOR, below 1, after EPOCHS epochs in a row without a new
                                  best of what is watched (`monitor`); not below FLOOR times lr
            "EPOCH=LR,EPOCH=LR,…" these rates from these epochs on, which count from 1 and rise:
                                  "11=0.005,21=0.001"
            "warmup:EPOCHS+…"     rising in a line over EPOCHS epochs, and then one of the others:
                                  "warmup:3+cosine:30:0.1"
            A layer's own rate is a multiple of it, `update.lr_scale` of the target.
        validation: samples that are not trained on and are evaluated after every epoch: a share of
            the training samples, 0.1 for a tenth, drawn from the machine's seed; or data, as
            `data` may be, of which all samples are taken. The test part is never chosen by.
        stop_early: end after so many epochs in a row, 1 or more, without a new best of what is
            watched; the list that is returned is shorter than `epochs` then. None for never.
        min_delta: for `stop_early` and "plateau", a new best is below the one before by more than
            this, 0 or more.
        monitor: what is watched: "loss" or "error" of the validation samples, "train-loss" or
            "train-error" of the training. It follows from the history, so that training in parts
            stops where training at once does.
        checkpoint: a file that gets the machine's state after every epoch and on Ctrl-C
            (KeyboardInterrupt is raised on); its folder has to be there.
        keep: which checkpoints stay beside it: "best" (of what is watched, NAME-best.safetensors),
            "every:N" (of every N-th epoch, NAME-epoch0010.safetensors), or "best,every:N".
        top_k: also counts, in the test after every epoch, how many labels are not among the k
            largest outputs (`EpochMetrics.test_top_k_error`); 1 or more, less than the classes.
        augment: what is done to the samples of each training step, one or a list, in this order.
            Each is a function f(x, rng) that gets the batch, float32 [B, ...] of the model's shape
            in the program's input range, and a NumPy generator, and returns such an array; it may
            change x in place, what it returns is clipped to the range. Of a network with several
            inputs x is a dictionary of arrays by their names. Or one by name: "flip" (half of the
            samples with their last axis reversed), "shift:PIXELS" (moved by up to so many along
            each axis of space), "noise:SIGMA". Labels stay. The generator is another for each
            batch, by the machine's seed and the samples trained before it, so that a training that
            is stopped and resumed with the same functions ends at the same bits.
        callbacks: a list of whom to tell, in this order. Each is an object with the method
            on_epoch(metrics), called with the EpochMetrics of each epoch when it is complete and
            saved; on_layer_stats(stats), called before it with a tuple of the LayerStats of all
            layers on arrays; on_step(step), called with the StepMetrics of every step (of one
            sample each by default: it has to be quick); on_progress(progress), called with a
            Progress about ten times a second; or more than one of them. A function is called as an
            on_epoch. What they return counts for nothing, what they raise ends the training. What
            nobody listens to is not computed. on_start(run) comes first, with a RunInfo, and
            on_finish(ended) last, with how the training ended ("complete", "stopped early",
            "interrupted" or "failed"): loggers have them, `rpucc.CSVLogger` and
            `rpucc.TensorBoardLogger`.

        Returns the EpochMetrics of all epochs of the machine, errors as fractions of the labels: a
        list, which in a notebook shows itself as a table and curves.
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
        if not self.machine.program.training:
            raise RpuccError(
                "the program was compiled for inference: compile it without --inference to train"
            )
        settings = Settings(
            epochs=arguments.integer("epochs", epochs, 1, limits.EPOCHS),
            batch_size=arguments.integer("batch_size", batch_size, 1, limits.BATCH),
            lr=arguments.positive("lr", lr),
            lr_schedule=lr_schedule,
            checkpoint=None if checkpoint is None else checkpoint_place(checkpoint),
            watch=watch_of(monitor, min_delta, stop_early),
            keep=parse_keep(keep),
            top_k=top_k,
            augment=augment,
        )
        settings.check(validated=validation is not None)
        check_schedule(self.machine, settings.schedule, settings.lr, settings.epochs)
        told = Callbacks(callbacks)
        dataset = self._fitted(given_data(data, self.feed.shapes))
        if isinstance(dataset, Streamed):
            settings = replace(settings, batch_size=own_batch(dataset, batch_size))
        held = None
        if validation is not None:
            if validation is data or (isinstance(data, str) and validation == data):
                raise DataError("validation: is the training data; give others, or a share: 0.1")
            held = self._validation(dataset, validation)
        return Training(self, dataset, settings, told, held).run()

    def evaluate(
        self,
        data: DataSource | Samples,
        y: Array | None = None,
        batch_size: int | None = None,
        *,
        ideal: bool = False,
        top_k: int | None = None,
    ) -> Evaluation:
        """Loss (nan where the program has none) and error over samples, without training.

        data: what `fit` takes, of which the test part is evaluated; or, with y, the samples:
            [n, ...] of the model's shape, uint8 (0..255) or floating point in the program's input
            range, and of a network with several inputs a dictionary of such arrays by their names.
        y: integer labels [n] (or one a pixel), or floating-point targets; None where data has them.
        batch_size: how many at once, None for what fits in memory; no random draw depends on it
            (float32 sums may, in their last digit).
        ideal: read the weights as they are on the arrays with exact products: without noise,
            bounds and converters. What `Machine.export` writes computes the same. Nothing is
            counted as a read then.
        top_k: also counts the labels that are not among the k largest outputs
            (`Evaluation.top_k_error`); 1 or more, less than the classes.

        Returns an Evaluation. Raises DataError where the data do not fit the model, ArgumentError
        for other arguments.

        >>> import rpucc
        >>> trainer = Trainer(rpucc.Machine(rpucc.compile("mlp", "ideal", verify=False)))
        >>> data = rpucc.load_dataset("mnist-mini")
        >>> trainer.evaluate(data).samples, trainer.evaluate(data.x_train, data.y_train).samples
        (1000, 6000)
        """
        x, y = given_labelled(data, y, self.feed.shapes)
        labels = as_labels(y, "y")
        ideal = arguments.instance("evaluate(ideal)", ideal, bool, "True or False")
        started = time.perf_counter()
        step = self.machine.program.step
        rows = self.feed.rows(x, "x")
        if len(rows) != len(labels):
            raise DataError(
                f"{len(rows)} samples but {len(labels)} labels: each sample needs one label"
            )
        sums: EvaluationSums | None = None
        for first, sample, executor in self._batches(rows, batch_size, ideal=ideal):
            executor.tallies.reset()
            if sums is None:
                scored = self.scored(labels, executor[step.scored].shape)
                sums = EvaluationSums(step, *scored, top_k)
            sums.feed(executor, first)
            executor.run(sample)
            sums.add(executor, first)
        assert sums is not None  # there is at least one batch
        return sums.result(time.perf_counter() - started)

    def predict(
        self, data: DataSource | Samples, batch_size: int | None = None, *, ideal: bool = False
    ) -> NDArray[np.float32]:
        """The network's output (logits) for samples, float32 [n, ...].

        data: samples alone, as the x of `evaluate`; or what `fit` takes, of which the test part is
            taken (a tuple is arrays with labels, a list is samples). One sample needs its batch
            axis: x[None]. batch_size, ideal, errors: as `evaluate`. A model may have more outputs:
            `outputs` gives them.
        """
        output = self.machine.program.output
        return self.outputs(data, (output,), batch_size, ideal=ideal)[output]

    def outputs(
        self,
        data: DataSource | Samples,
        names: Sequence[str] | None = None,
        batch_size: int | None = None,
        *,
        ideal: bool = False,
    ) -> dict[str, Array]:
        """Outputs of the network by name, each [n, ...]: `names`, or all that it has.

        What has no axis of samples (an output of a model with a fixed batch) is joined batch by
        batch. data: as `predict`; batch_size, ideal, errors: as `evaluate`, and RpuccError for a
        name that is none of its outputs.
        """
        known = self.machine.program.outputs
        if names is None:
            names = known
        names = arguments.strings("names", names, "a list of names, or None for all outputs")
        for name in names:
            if name not in known:
                raise RpuccError(f"no output is called {name!r}; there are {', '.join(known)}")
        found: dict[str, list[Array]] = {name: [] for name in names}
        rows = self.feed.rows(given_samples(data, self.feed.shapes), "x")
        ideal = arguments.instance("ideal", ideal, bool, "True or False")
        for _, sample, executor in self._batches(rows, batch_size, names, ideal=ideal):
            executor.run(sample)
            for name, parts in found.items():
                parts.append(np.atleast_1d(executor[name]).copy())
        return {name: np.concatenate(parts) for name, parts in found.items()}

    def recalibrate(
        self,
        data: DataSource | Samples,
        samples: int = SAMPLES,
        *,
        batch_size: int | None = None,
    ) -> Recalibration:
        """Measure the statistics of the digital batch norms again, on the arrays as they are.

        Batch norm after batch norm gets the population mean and variance, over samples and
        positions, of what comes into it with those before it replaced already. They are state of
        the machine from then on: checkpoints and exports have them, training goes on with them.

        data: what `fit` takes, whose training part is measured over; or samples alone, as the x of
            `evaluate`. Labels play no part.
        samples: how many of them, drawn by the machine's seed, 1 or more; all where there are
            fewer.
        batch_size: how many at once, None for what fits in memory; no random draw depends on it
            (float32 sums may, in their last digit).

        Returns a Recalibration: what moved how far, the reads. The reads draw noise of their own,
        and the same again for the same machine and samples.
        Raises ModelError where there is no batch norm that can be measured again (one that was
        folded into a layer cannot), or values are not finite, or a variance is 0 without an
        epsilon; DataError where the data do not fit the model, or a channel gets one number only;
        ArgumentError for other arguments. The machine is as it was, then.

        >>> import numpy as np, rpucc
        >>> model = rpucc.models.build_cnn("c4k5 p2 f10", batch_norm=True)
        >>> trainer = Trainer(rpucc.Machine(rpucc.compile(model, "ideal", verify=False)))
        >>> found = trainer.recalibrate("mnist-mini", samples=100)
        >>> found.samples, [each.batch_norms for each in found.batch_norms]
        (100, [('conv1.norm',)])
        """
        x = given_samples(data, self.feed.shapes, trained=True)
        return recalibrate(self.machine, self.feed, self.threads, x, samples, batch_size)

    def output_batches(self, samples: Samples) -> Iterator[tuple[int, Array]]:
        """Yield the first sample's number and the outputs that labels are about, batch by batch.

        samples: as the x of `evaluate`, whose reads these are. The outputs [n, ...] are the
        executor's own: the next batch overwrites them. Errors: as `evaluate`.
        """
        rows = self.feed.rows(samples, "x")
        scored = self.machine.program.step.scored
        for first, sample, executor in self._batches(rows, None, ideal=False):
            executor.run(sample)
            yield first, executor[scored]

    def error(self, outputs: Array, labels: Array) -> float | None:
        """The share of wrong labels, as `evaluate` counts them; None for targets of a regression.

        outputs: what `predict` returned for the samples; raises DataError for labels of no class.
        """
        outputs, labels = as_array(outputs, "outputs"), as_labels(labels, "labels")
        if len(outputs) != len(labels):
            raise DataError(f"{len(outputs)} outputs but {len(labels)} labels; each needs one")
        y, scoring = self.scored(labels, outputs.shape)
        return scoring.rate(scoring.errors(outputs, y), y, len(y))

    # ---------------------------------------------------------------- what runs it

    def executor(
        self, batch: int, *, evaluating: bool, ideal: bool = False, also: Sequence[str] = ()
    ) -> Executor:
        """The executor of a batch size, which computes the values `also`, too; a few are kept."""
        batch = arguments.integer("batch", batch, 1)
        step = self.machine.program.step
        extra = tuple(name for name in also if name != step.output)
        key = (batch, evaluating, ideal, extra)
        self._forget_constants()

        def make() -> Executor:
            outputs = [step.output, *extra, *step.measured]
            if not evaluating:
                outputs += step.state.values()
            return Executor(
                self.machine,
                batch,
                outputs,
                threads=self.threads,
                evaluating=evaluating,
                ideal=ideal,
            )

        return self._executors.get(key, make)

    def not_held(self) -> list[str]:
        """Nodes whose bits depend on the processor even where all else is portable; so far made."""
        nodes = [node for executor in self._executors.values() for node in executor.others]
        return list(dict.fromkeys(inexact(nodes)))

    def step(self, batch: int) -> Step:
        """The training step of a batch size; a few are kept."""
        self._forget_constants()

        def make() -> Step:
            executor = self.executor(batch, evaluating=False)
            return Step(executor, self.machine.program.step, self.feed)

        return self._steps.get(batch, make)

    def _forget_constants(self) -> None:
        """Make executors anew that were made with constants which the machine has no longer."""
        if self._revision != self.machine.revision:
            self._revision = self.machine.revision
            self._counts = self.take_counts()
            self._executors.clear()
            self._steps.clear()

    def take_counts(self) -> dict[str, Array]:
        """What training steps counted since this was last asked: layer to counts as `Tallies`."""
        for step in self._steps.values():
            self._count(step)
        found, self._counts = self._counts, {}
        return found

    def _count(self, step: Step) -> None:
        for layer, counts in step.executor.tallies.take().items():
            self._counts[layer] = self._counts.get(layer, 0) + counts

    def _batches(
        self,
        rows: Rows,
        batch_size: int | None,
        also: Sequence[str] = (),
        *,
        ideal: bool,
    ) -> Iterator[tuple[int, int, Executor]]:
        """Yield (first sample, the number of its draws, executor with its inputs filled)."""
        if batch_size is None:
            batch_size = evaluation_batch(self.machine.program)
        batch_size = arguments.integer("batch_size", batch_size, 1, limits.BATCH)
        batch_size = self.machine.program.fixed_batch or batch_size
        order = np.arange(len(rows))
        sample = self.machine.counters.evaluation(len(rows))
        for first in range(0, len(rows), batch_size):
            size = min(batch_size, len(rows) - first)
            executor = self.executor(size, evaluating=True, ideal=ideal, also=also)
            fill(self.feed.buffers(executor), rows, order, first)
            yield first, sample + first, executor

    # ---------------------------------------------------------------- data

    def _validation(self, dataset: Dataset, given: object) -> Validation:
        """The validation samples that a caller means."""
        if isinstance(given, Real) and not isinstance(given, bool):
            if isinstance(dataset, Streamed):
                raise DataError(
                    "validation: a share is drawn from arrays; where data come in batches, give "
                    "the samples: batches, or (x, y)"
                )
            batch = self.machine.program.fixed_batch or 1
            return split(dataset, float(given), self.machine.key, batch)
        try:  # all of it at once, also where it comes in batches
            found = load_dataset(given, inputs=self.feed.shapes)  # type: ignore[arg-type]
        except ArgumentError:
            raise arguments.wrong("validation", given, f"{SHARE}, or {SOURCES}") from None
        found = self._fitted(whole(found))
        return Validation(found.x_train, found.y_train)

    def scored(self, y: Array, output: tuple[int, ...]) -> tuple[Array, Scoring]:
        """Labels as outputs of a shape [n, ...] are compared with them, and how that is done."""
        program = self.machine.program
        y = fitted_labels(y, output[1:], program.loss, "labels")
        return y, Scoring.of(program, y)

    def _fitted(self, dataset: Dataset) -> Dataset:
        """The data set with samples of the model's shape; all of it is checked before a step."""
        program = self.machine.program
        executor = self.executor(program.fixed_batch or 1, evaluating=True)
        output = executor[program.step.scored]
        if output.shape[0] != executor.batch:
            raise RpuccError(
                f"output {program.step.scored!r} {list(output.shape)}: its first axis is "
                f"not the batch ({executor.batch}), so its rows are no samples that labels could "
                "belong to; export the model with an output [batch, classes]"
            )
        return fitted(dataset, self.feed.shapes, output.shape[1:], program.loss)
