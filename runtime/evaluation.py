"""Sums of an evaluation, batch by batch: loss, errors, reads.

Not for running the batches (`trainer.py`) nor for what counts as an error (`scoring.py`).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.metrics import Evaluation

if TYPE_CHECKING:
    from rpucc.runtime.executor import Executor
    from rpucc.runtime.scoring import Scoring
    from rpucc.step_contract import StepContract


class EvaluationSums:
    """What is known after some batches.

    step: names what is scored and the loss. labels: of all samples, as the outputs are compared
    with them. top_k: also count labels beyond the k largest outputs; raises as `check_top`.
    """

    def __init__(
        self, step: StepContract, labels: NDArray[Any], scoring: Scoring, top_k: int | None
    ) -> None:
        self._step, self._labels, self._scoring = step, labels, scoring
        self._top_k = scoring.check_top(top_k)
        self._loss_sum, self._counted, self._errors, self._beyond = 0.0, 0.0, 0, 0
        self._reads = np.zeros(3, np.int64)

    def feed(self, executor: Executor, first: int) -> None:
        """Give the executor the labels of its samples, the first of which is number `first`."""
        if self._step.labels is not None:
            chosen = self._labels[first : first + executor.batch]
            executor[self._step.labels][...] = chosen

    def add(self, executor: Executor, first: int) -> None:
        """Count what the executor computed and read for these samples."""
        outputs = executor[self._step.scored]
        chosen = self._labels[first : first + len(outputs)]
        self._errors += self._scoring.errors(outputs, chosen)
        if self._top_k is not None:
            self._beyond += self._scoring.beyond(outputs, chosen, self._top_k)
        self._reads += executor.tallies.reads
        loss = self._step.metric("loss")
        if loss is not None and loss.value is not None:
            weight = None if loss.weight is None else executor[loss.weight]
            counts = executor.batch if weight is None else float(weight)
            self._loss_sum += float(executor[loss.value]) * counts
            self._counted += counts

    def result(self, seconds: float) -> Evaluation:
        """Return what all batches came to."""
        labels, scoring, n = self._labels, self._scoring, len(self._labels)
        top_k = self._top_k
        return Evaluation(
            samples=n,
            loss=self._loss_sum / self._counted if self._counted else math.nan,
            error=scoring.rate(self._errors, labels, n),
            reads=int(self._reads[0]),
            saturated_reads=int(self._reads[1]),
            rereads=int(self._reads[2]),
            seconds=seconds,
            labels_per_sample=scoring.per_sample(labels),
            top_k=top_k,
            top_k_error=None if top_k is None else scoring.rate(self._beyond, labels, n),
        )
