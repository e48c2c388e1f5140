"""A loop of one's own: the cycles of a step one after the other, with gradients from outside.

The instructions, draws and counters are those of a step of `Trainer.fit`, cut where the loss's
gradient goes in. Not for what a user calls: that is `machine_loop.py`, and `rpucc/torch`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.errors import DataError, RpuccError, UsageError
from rpucc.runtime.counters import check_draws
from rpucc.runtime.data.dataset import as_array
from rpucc.runtime.executor import Executor
from rpucc.runtime.feed import Feed, fill
from rpucc.runtime.kept import Kept
from rpucc.runtime.memory import evaluation_batch
from rpucc.runtime.rates import Rates
from rpucc.runtime.tallies import PULSES, TILE_READS
from rpucc.runtime.threads import Threads

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.data.dataset import Samples
    from rpucc.runtime.feed import Rows
    from rpucc.runtime.machine_state import MachineState

Array = NDArray[Any]
Outputs = dict[str, NDArray[np.float32]]
"""Values by their names in the program, [N, ...] each."""


class Pass:
    """The cycles of one batch size, with the values of the batch that went through them last.

    `forward`, `backward` and `update` follow each other; whoever calls them holds that (`OwnLoop`).
    """

    def __init__(self, machine: MachineState, batch: int, threads: Threads) -> None:
        step = machine.program.step
        self.batch, self._machine, self._rates = batch, machine, step.rates
        self.revision = machine.revision
        self._names = outputs_of(machine.program)
        self._entries, self._of_inputs = dict(step.entries), dict(step.input_gradients)
        fed, after = list(self._entries.values()), list(step.state.values())
        wanted = [*self._names, *self._entries, *self._of_inputs.values(), *after]
        self.executor = executor = Executor(machine, batch, wanted, threads=threads, fed=fed)
        forward = executor.places_to(self._names)
        update = executor.places_behind(step.rates)
        self._forward, self._update = sorted(forward), sorted(update)
        self._to_weights = executor.places_to(after) - forward - update
        self._to_inputs = executor.places_to(self._of_inputs.values()) - forward
        self._sample = 0
        self.updates = 0
        """How often the loop had updated when this batch went forward."""

    def forward(self, feed: Feed, rows: Rows) -> Outputs:
        """Run the forward cycle on the samples of `rows`, as many as the batch; returns copies.

        The draws are those of the machine's next samples, which are counted from here on.
        """
        counters = self._machine.counters
        fill(feed.buffers(self.executor), rows, np.arange(len(rows)), 0)
        self._sample = counters.sample
        counters.sample += self.batch
        self._run(self._forward)
        return {name: self.executor[name].copy() for name in self._names}

    def backward(self, dy: Outputs, *, to_inputs: bool, to_weights: bool) -> Outputs:
        """Run the backward cycle with the gradients of the outputs; returns those of the inputs.

        to_weights: whether `update` follows. What neither needs is not computed.
        """
        for name, gradient in self._entries.items():
            self.executor[gradient][...] = dy.get(name, 0)
        places = self._to_weights if to_weights else set[int]()
        self._run(sorted(places | self._to_inputs if to_inputs else places))
        if not to_inputs:
            return {}
        return {name: self.executor[value].copy() for name, value in self._of_inputs.items()}

    def update(self, lr: float) -> None:
        """Run the update cycle; the samples count as trained."""
        for rate in self._rates:
            self.executor[rate][...] = lr
        self._run(self._update, commit=True)
        self._machine.counters.done += self.batch

    def _run(self, places: Collection[int], *, commit: bool = False) -> None:
        """Run a part of the step, and count its reads and pulses."""
        tallies, counters = self.executor.tallies, self._machine.counters
        tallies.reset()
        self.executor.run_part(self._sample, list(places), commit=commit)
        counts = tallies.counts
        counters.pulses += int(counts[PULSES])
        counters.reads += counts[TILE_READS]


class OwnLoop:
    """Forward, backward and update cycles of a machine, and what is checked about them.

    Each pass is taken for one batch, from `begin` to `end`; buffers of a batch size are made once.
    """

    def __init__(self, machine: MachineState, threads: int) -> None:
        self.machine, self.program = machine, machine.program
        self.threads = Threads(threads)
        self.feed = Feed(self.program)
        self.outputs = outputs_of(self.program)
        self._free: Kept[int, list[Pass]] = Kept()
        self._evaluating: Kept[int, Executor] = Kept()
        self._rates = Rates(machine)
        self._updates = 0
        self._expected = machine.counters.sample

    # ---------------------------------------------------------------- cycles

    def begin(self, x: Samples, where: str) -> tuple[Pass, Outputs]:
        """Take a pass forward with training's draws; raises where the program cannot be trained."""
        if not self.program.training:
            raise RpuccError(
                f"{where}: the program was compiled for inference; compile it without --inference, "
                "or say training=False"
            )
        rows, fixed = self._rows(x, where), self.program.fixed_batch
        if fixed is not None and len(rows) != fixed:
            raise DataError(
                f"{where}: x has {len(rows)} samples, but the model works with batches of exactly "
                f"{fixed}"
            )
        counters = self.machine.counters
        check_draws(counters.sample + len(rows), f"{where}: ")
        revision = self.machine.revision  # constants that were replaced since are in no new pass
        free = self._free.get(len(rows), list)
        free[:] = [each for each in free if each.revision == revision]
        made = free.pop() if free else Pass(self.machine, len(rows), self.threads)
        made.updates = self._updates
        found = made.forward(self.feed, rows)
        self._expected = counters.sample
        return made, found

    def backward(
        self, taken: Pass, dy: Outputs, where: str, *, to_inputs: bool, to_weights: bool
    ) -> Outputs:
        """The backward cycle of a pass; dy as `gradients` gives it."""
        self.check_inputs(where, wanted=to_inputs)
        self._check_same(taken, where)
        return taken.backward(dy, to_inputs=to_inputs, to_weights=to_weights)

    def update(self, taken: Pass, lr: float, where: str) -> None:
        """The update cycle of a pass, whose buffers are free then."""
        self._rates.check(lr)
        self._check_alone(where)
        taken.update(lr)
        self._updates += 1
        self.end(taken)

    def end(self, taken: Pass) -> None:
        """Give a pass back."""
        free = self._free.get(taken.batch, list)
        if taken not in free:
            free.append(taken)

    def forget_forwards(self) -> None:
        """The weights are others: no backward of a pass that was taken before this."""
        self._updates += 1

    def evaluate(self, x: Samples, where: str) -> Outputs:
        """The outputs with the reads of an evaluation, as `Trainer.predict`; changes nothing."""
        rows = self._rows(x, where)
        batch = self.program.fixed_batch or evaluation_batch(self.program)
        parts: dict[str, list[Array]] = {name: [] for name in self.outputs}
        order = np.arange(len(rows))
        sample = self.machine.counters.evaluation(len(rows))
        for first in range(0, len(rows), batch):
            size = min(batch, len(rows) - first)
            executor = self._evaluating.get(size, partial(self._evaluation, size))
            fill(self.feed.buffers(executor), rows, order, first)
            executor.run(sample + first)
            for name, found in parts.items():
                found.append(np.atleast_1d(executor[name]).copy())
        return {name: np.concatenate(found) for name, found in parts.items()}

    def _evaluation(self, size: int) -> Executor:
        return Executor(self.machine, size, self.outputs, threads=self.threads, evaluating=True)

    # ---------------------------------------------------------------- checks

    def gradients(self, dy: object, shapes: Mapping[str, tuple[int, ...]], where: str) -> Outputs:
        """The gradients of the outputs that a caller means, checked; shapes: of the outputs."""
        known = tuple(self.program.step.entries)
        if not isinstance(dy, Mapping):
            if len(known) > 1:
                raise DataError(
                    f"{where}: dy is one array, but the outputs are {', '.join(known)}; give a "
                    "dictionary with the gradients of those that the loss depends on"
                )
            dy = {known[0]: dy}
        unknown = [str(name) for name in dy if name not in known]
        if unknown or not dy:
            found = ", ".join(unknown) or "none"
            raise DataError(
                f"{where}: dy has gradients of {found}; outputs that have one are "
                f"{', '.join(known)}"
            )
        labels = {name: "dy" if len(known) == 1 else f"dy[{name!r}]" for name in known}
        return {
            name: _gradient(each, shapes[name], f"{where}: {labels[name]}")
            for name, each in dy.items()
        }

    def check_inputs(self, where: str, *, wanted: bool) -> None:
        """Raise where gradients of the inputs are wanted and the program has none."""
        if wanted and not self.program.step.input_gradients:
            raise UsageError(
                f"{where}: the program has no backward cycle down to its inputs; compile it with "
                "input_gradients=True"
            )

    def _check_same(self, taken: Pass, where: str) -> None:
        """Raise where the weights are not those of the forward cycle any more."""
        self._check_alone(where)
        if taken.updates != self._updates:
            raise UsageError(
                f"{where}: the weights were updated since this forward; go forward again, or add "
                "up the losses of several forwards and go backward once"
            )

    def _check_alone(self, where: str) -> None:
        """Raise where anything else trained the machine since the last forward."""
        if self.machine.counters.sample != self._expected:
            raise UsageError(f"{where}: the machine was trained since its forward; forward again")

    def _rows(self, x: Samples, where: str) -> Rows:
        """Samples as rows; they have the program's own shape."""
        fixed = self.program.fixed_batch
        given = x if isinstance(x, Mapping) else dict.fromkeys(self.feed.shapes, x)
        for name, shape in self.feed.shapes.items():
            if name not in given:
                continue  # `Feed.rows` says so
            found = np.shape(given[name])
            if found[1:] != shape or not found or not found[0]:
                label = "x" if len(self.feed.shapes) == 1 else f"x[{name!r}]"
                raise DataError(
                    f"{where}: {label} has the shape {list(found)}; the program takes "
                    f"[{fixed or 'N'}, {', '.join(map(str, shape))}]"
                )
        return self.feed.rows(x, f"{where}: x")


def outputs_of(program: Program) -> tuple[str, ...]:
    """What goes forward gives: where gradients go in, and all outputs where there is no loss.

    The loss of a program is computed of what stands before a last softmax or sigmoid.
    """
    entries = program.step.entries
    return tuple(entries) if entries and not program.step.outside else program.outputs


def _gradient(given: object, shape: tuple[int, ...], where: str) -> NDArray[np.float32]:
    found = as_array(given, where)
    if found.dtype.kind not in "fiu":
        raise DataError(f"{where} has type {found.dtype}; a gradient is numbers")
    if found.shape != shape:
        raise DataError(
            f"{where} has the shape {list(found.shape)}; the output of the last forward has "
            f"{list(shape)}"
        )
    with np.errstate(over="ignore"):  # what float32 does not hold is infinity, and named below
        found = found.astype(np.float32, copy=False)
    if not np.isfinite(found).all():
        raise DataError(
            f"{where} holds NaN or infinity, and nothing was updated; a smaller learning rate may "
            "help"
        )
    return found
