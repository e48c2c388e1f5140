"""One training step of a batch size: samples in, updates done, counters moved on.

Not for what a step computes (the program, run by the executor) nor for which samples are next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from rpucc.runtime.feed import fill

if TYPE_CHECKING:
    from rpucc.runtime.counters import Counters
    from rpucc.runtime.executor import Executor
    from rpucc.runtime.feed import Feed, Rows
    from rpucc.runtime.scoring import Scoring
    from rpucc.step_contract import StepContract

Array = NDArray[Any]


class Step:
    """A training step, with the buffers that its contract names looked up beforehand."""

    def __init__(self, executor: Executor, contract: StepContract, feed: Feed) -> None:
        self.size, self.executor = executor.batch, executor
        loss, error = contract.metric("loss"), contract.metric("error")
        self._inputs = feed.buffers(executor)
        self._labels = None if contract.labels is None else executor[contract.labels]
        self._rates = tuple(executor[name] for name in contract.rates)
        self._loss = None if loss is None or loss.value is None else executor[loss.value]
        self._scored = None if error is None else executor[error.output]

    def run(
        self,
        rows: Rows,
        order: Array,
        chosen: Array,
        lr: float,
        counters: Counters,
        scoring: Scoring,
    ) -> None:
        """Train on the next samples in `order`; `chosen` are their labels."""
        size, executor, state = self.size, self.executor, self.executor.tallies
        fill(self._inputs, rows, order, counters.done)
        if self._labels is not None:
            self._labels[...] = chosen.reshape(self._labels.shape)
        for rate in self._rates:
            rate[...] = lr
        state.reset()
        executor.run(counters.sample)
        if self._loss is not None:
            counters.loss_sum += float(self._loss) * size
        if self._scored is not None:
            counters.errors += scoring.errors(self._scored, chosen)
        counters.pulses += state.pulses
        counters.reads += state.reads
        counters.sample += size
        counters.done += size
