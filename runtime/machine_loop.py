"""What a machine offers a loop of one's own: `forward`, `backward`, `update` and `end_epoch`.

The part of `Machine` that checks who calls what in which order; the cycles are `own_loop.py`'s.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, limits
from rpucc.errors import UsageError
from rpucc.feedback import is_feedback
from rpucc.runtime.machine_state import MachineState
from rpucc.runtime.metrics import EpochMetrics, Evaluation
from rpucc.runtime.own_loop import OwnLoop, Pass

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rpucc.runtime.counters import Counters
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.own_loop import Outputs

Array = NDArray[np.float32]


class MachineLoop(MachineState):
    """The cycles of a step, called one by one; `Machine` is what has the state."""

    counters: Counters
    history: list[dict[str, Any]]
    """A record of each trained epoch."""

    _loop: OwnLoop | None = None
    _taken: Pass | None = None
    _shapes: Mapping[str, tuple[int, ...]] | None = None
    """Of the outputs, between a forward and its backward; None between a backward and its update.
    """

    @property
    def weights(self) -> int:
        """Analog weights of the program, without the fixed numbers of feedback matrices."""
        return sum(each.size for each in self.arrays.values() if not is_feedback(each.layer))

    @property
    def threads(self) -> int:
        """CPU threads of `forward`, `backward` and `update`; results do not depend on it."""
        return 1 if self._loop is None else self._loop.threads.count

    @threads.setter
    def threads(self, count: int) -> None:
        count = arguments.integer("threads", count, 1, limits.THREADS)
        if self._taken is not None:
            raise UsageError("threads: set them before a forward, not between it and its update")
        self._loop = OwnLoop(self, count)

    @property
    def loop(self) -> OwnLoop:
        """The loop behind `forward`, `backward` and `update`, for what drives several at a time."""
        if self._loop is None:
            self._loop = OwnLoop(self, 1)
        return self._loop

    def forward(self, x: Samples, *, training: bool = True) -> Array | dict[str, Array]:
        """Return what the network gives for a batch: the first cycle of a step of your own.

        x: samples [N, ...] of the model's shape, uint8 (0..255) or floating point in the program's
            input range; of a network with several inputs a dictionary of arrays by their names.
        training: with the reads of a training step, which `backward` and `update` may follow; every
            call has noise of its own. False: with those of an evaluation, as `Trainer.predict`:
            the same again until more is trained, of any number of samples. Nothing is counted then,
            and a forward that waits for its backward goes on waiting.

        The result is float32 [N, ...], of several outputs a dictionary by their names. Where the
        program has a loss it is what that is computed of: the logits before a last softmax or
        sigmoid. A forward whose update never comes counts its reads, and changes nothing.

        Raises DataError for other samples, RpuccError where the program was compiled for inference,
        ArgumentError.
        """
        training = arguments.instance("training", training, bool, "True or False")
        if not training:
            return _alone(self.loop.evaluate(x, "forward"))
        self._drop()
        self._taken, found = self.loop.begin(x, "forward")
        self._shapes = {name: each.shape for name, each in found.items()}
        return _alone(found)

    def backward(self, dy: object, *, dx: bool | None = None) -> Array | dict[str, Array] | None:
        """Read the arrays transposed with the loss's gradient; return that of the inputs.

        dy: the gradient of the loss at what the last `forward` gave, of the same shape; of several
            outputs a dictionary with those that the loss depends on. The loss of `Trainer.fit` is a
            mean over the batch, so that its dy is divided by N.
        dx: whether the gradient of the inputs is computed, too: None where the program can, which
            is one compiled with `input_gradients=True`; of others the result is None.

        The result is float32 of x's shape, of a network with several inputs a dictionary; x is as
        the program takes it, within its input range.

        Raises UsageError where no forward waits for it, or where dx is True and the program has no
        backward cycle down to its inputs; DataError for another shape, NaN and infinity.
        """
        if dx is not None:
            dx = arguments.instance("dx", dx, bool, "True, False or None")
        if self._taken is None:
            raise UsageError(
                "backward: there is no forward that it belongs to; call y = machine.forward(x) "
                "first"
            )
        if self._shapes is None:
            raise UsageError(
                "backward: was called already for the last forward; call update(lr), or forward "
                "again"
            )
        found = self.loop.gradients(dy, self._shapes, "backward")
        wanted = bool(self.program.step.input_gradients) if dx is None else dx
        result = self.loop.backward(
            self._taken, found, "backward", to_inputs=wanted, to_weights=True
        )
        self._shapes = None
        return _alone(result) if wanted else None

    def update(self, lr: float) -> None:
        """Update the arrays by pulses, and the digital weights: the last cycle of a step.

        lr: the learning rate of this update, above 0; a layer's own is a multiple of it.

        The samples count as trained: `counters` stand as after the same step of `Trainer.fit`.
        Raises UsageError where no backward came before, ArgumentError for another rate.
        """
        lr = arguments.positive("lr", lr)
        if self._taken is None:
            raise UsageError("update: no backward came before; call forward and backward first")
        if self._shapes is not None:
            raise UsageError("update: the last forward had no backward; call backward(dy) first")
        self.loop.update(self._taken, lr, "update")
        self._taken = None

    def end_epoch(
        self,
        test: Evaluation | None = None,
        *,
        train_loss: float = math.nan,
        train_error: float | None = None,
        lr: float | None = None,
    ) -> EpochMetrics:
        """End the epoch under way: its counts become a record of `history`, and start anew.

        `Trainer.fit` goes on with the next epoch then, checkpoints and reports show the record.

        test: what `Trainer.evaluate` gave, if anything. train_loss, train_error, lr: what your loop
        measured, and its rate, for the record alone: numbers, of NumPy too. Raises ArgumentError
        for what is none.
        """
        counters = self.counters
        if test is not None:
            arguments.instance("test", test, Evaluation, "an Evaluation, of Trainer.evaluate")
        train_loss = arguments.number("train_loss", train_loss)
        if train_error is not None:
            train_error = arguments.number("train_error", train_error)
        if lr is not None:
            lr = arguments.number("lr", lr)
        self._drop()
        metrics = EpochMetrics(
            epoch=counters.epoch + 1,
            samples=counters.done,
            train_loss=train_loss,
            train_error=train_error,
            test_loss=math.nan if test is None else test.loss,
            test_error=None if test is None else test.error,
            pulses_per_weight=counters.pulses / max(self.weights, 1),
            reads=int(counters.reads[0]),
            saturated_reads=int(counters.reads[1]),
            rereads=int(counters.reads[2]),
            lr=lr,
            top_k=None if test is None else test.top_k,
            test_top_k_error=None if test is None else test.top_k_error,
        )
        self.history.append(metrics.reproducible())
        self.counters = counters.next_epoch()
        return metrics

    def __getstate__(self) -> dict[str, Any]:
        """What a copy takes over: not the loop, which works on this machine's arrays."""
        left = ("_loop", "_taken", "_shapes")
        return {name: value for name, value in self.__dict__.items() if name not in left}

    def _drop(self) -> None:
        """Forget a forward whose update never came."""
        if self._taken is not None:
            self.loop.end(self._taken)
        self._taken = None

    def _forget_forwards(self) -> None:
        """Take no backward of a forward before this: the weights are others."""
        self._drop()
        if self._loop is not None:
            self._loop.forget_forwards()


def _alone(found: Outputs) -> Array | dict[str, Array]:
    """The only one of several values, or all of them."""
    return next(iter(found.values())) if len(found) == 1 else found
