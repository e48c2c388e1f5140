"""One training step of a batch size: samples in, updates done, counters moved on.

Not for what a step computes (the program, run by the executor) nor for which samples are next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from rpucc.runtime.feed import fill
from rpucc.runtime.tallies import PULSES, TILE_READS

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
        weight = None if loss is None else loss.weight
        self._weight = None if weight is None else executor[weight]
        self._scored = None if error is None else executor[error.output]

    def run(
        self,
        rows: Rows,
        order: Array,
        first: int,
        chosen: Array,
        lr: float,
        counters: Counters,
        scoring: Scoring,
        change: Callable[[Sequence[Array], int], None] | None = None,
    ) -> float:
        """Train on the samples from order[first] on, with labels `chosen`; returns their mean loss.

        That is nan where the program has none. change: may change the samples, as rows of each
        input, given how many were trained before.
        """
        size, executor, tallies = self.size, self.executor, self.executor.tallies
        fill(self._inputs, rows, order, first)
        if change is not None:
            change(self._inputs, counters.sample)
        if self._labels is not None:
            self._labels[...] = chosen.reshape(self._labels.shape)
        for rate in self._rates:
            rate[...] = lr
        tallies.reset()
        executor.run(counters.sample)
        loss = math.nan
        if self._loss is not None:
            loss = float(self._loss)
            if self._weight is None:
                counters.loss_sum += loss * size
            else:
                weight = float(self._weight)
                counters.loss_sum += loss * weight
                counters.loss_weight += weight
        if self._scored is not None:
            counters.errors += scoring.errors(self._scored, chosen)
        counts = tallies.counts
        counters.pulses += int(counts[PULSES])
        counters.reads += counts[TILE_READS]
        counters.sample += size
        counters.done += size
        return loss
