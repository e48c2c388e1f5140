"""One training step of a batch size: samples in, updates done, counters moved on.

Not for what a step computes (the program, run by the executor) nor for which samples are next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.kernels.batches import gather

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor
    from rpucc.runtime.machine import Counters
    from rpucc.runtime.scoring import Scoring

Array = NDArray[Any]


class Step:
    """A training step, with the buffers of its inputs and outputs looked up beforehand."""

    def __init__(
        self, executor: Executor, x: Array, labels: Array, lr: Array, loss: Array, output: Array
    ) -> None:
        self.size, self.executor = executor.batch, executor
        self._x = x.reshape(self.size, -1)
        self._labels, self._lr = labels, lr
        self._loss, self._output = loss, output

    def run(
        self,
        features: Array,
        order: Array,
        chosen: Array,
        lr: float,
        counters: Counters,
        scoring: Scoring,
        scaling: tuple[np.float32, np.float32],
    ) -> None:
        """Train on the next samples in `order`; `chosen` are their labels.

        scaling: factor and offset of stored features on their way to the model's input.
        """
        size, executor, state = self.size, self.executor, self.executor.run_state
        gather(features, order, counters.done, self._x, *scaling)
        self._labels[...] = chosen.reshape(self._labels.shape)
        self._lr[...] = lr
        state.reset()
        executor.run(counters.sample)
        counters.loss_sum += float(self._loss) * size
        counters.errors += scoring.errors(self._output, chosen)
        counters.pulses += state.pulses
        counters.reads += state.reads
        counters.sample += size
        counters.done += size
