"""What a trained network answers to labelled samples, and where it is most wrong.

One of four kinds, by the loss and the labels: classes (one a sample, or one a pixel), a 0 or 1 for
each of several outputs, numbers. Reads are those of `Trainer.evaluate`, so the error is its error.
Not for images of samples (`data/pictures.py`), nor for how any of it looks.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from rpucc.runtime.scoring import Scoring

if TYPE_CHECKING:
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.trainer import Trainer

MOST_WRONG = 24
"""Samples that are kept of the wrong ones."""
SCATTERED = 1500
"""Pairs of target and output that are kept of a regression, spread over the samples."""

Array = NDArray[Any]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Wrong:
    """A sample with a wrong answer, or one far off."""

    index: int
    """Its place in the test part."""
    measure: float
    """How wrong: score of the answer less that of the label; wrong labels as a part; or the root
    of the mean squared difference from the targets."""
    label: Array
    answer: Array
    """A class [], classes [H, W], 0 and 1 [K], or numbers [K, *space], as the kind has them."""
    score: float = math.nan
    """How sure the network is of a wrong class, 0 to 1."""


@dataclass(frozen=True)
class ClassAnswers:
    """Answers that are classes, one a sample or one a pixel."""

    kind: ClassVar[Literal["classes"]] = "classes"

    matrix: NDArray[np.int64]
    """[K, K]: how often label i was taken for class k."""
    worst: tuple[Wrong, ...]
    pixels: bool
    """Whether each pixel has a label."""

    @property
    def labels(self) -> int:
        """Labels in all."""
        return int(self.matrix.sum())

    @property
    def wrong(self) -> int:
        """Labels that were missed."""
        return self.labels - int(np.trace(self.matrix))

    @property
    def missed(self) -> Floats:
        """[K]: which part of a class's labels was missed; nan where there are none."""
        counts = self.matrix.sum(axis=1)
        return _share(counts - np.diag(self.matrix), counts)

    @property
    def overlap(self) -> Floats:
        """[K]: intersection over union of the places of a class; nan where it is nowhere."""
        both = np.diag(self.matrix)
        return _share(both, self.matrix.sum(axis=0) + self.matrix.sum(axis=1) - both)


@dataclass(frozen=True)
class BitAnswers:
    """A 0 or 1 for each of several outputs."""

    kind: ClassVar[Literal["bits"]] = "bits"

    counts: NDArray[np.int64]
    """[K, 2, 2]: how often label i of an output was answered with k."""
    worst: tuple[Wrong, ...]

    @property
    def labels(self) -> int:
        """Labels in all."""
        return int(self.counts.sum())

    @property
    def wrong(self) -> int:
        """Labels that were missed."""
        return int(self.counts[:, 0, 1].sum() + self.counts[:, 1, 0].sum())


@dataclass(frozen=True)
class NumberAnswers:
    """Outputs of a regression beside their targets."""

    kind: ClassVar[Literal["numbers"]] = "numbers"

    pairs: Floats
    """[n, 2]: target and output, of values spread over the samples."""
    values: int
    """Targets in all."""
    rmse: float
    """Root of the mean squared difference."""
    explained: float
    """R²: the part of the targets' variance that the outputs explain; nan where there is none."""
    worst: tuple[Wrong, ...]


Answers = ClassAnswers | BitAnswers | NumberAnswers


def answers(trainer: Trainer, dataset: Dataset) -> Answers:
    """Return the answers to the test part of a data set that fits the program (`fitted`)."""
    labels = dataset.y_test
    scoring = Scoring.of(trainer.machine.program, labels)
    batches = trainer.output_batches(dataset.x_test)
    if scoring.kind == "targets":
        return _numbers(batches, labels)
    if scoring.kind == "binary":
        bits = _Bits(scoring.threshold)
        single = labels.ndim == 1 or labels.shape[1] == 1
        if single and math.prod(labels.shape[1:]) == 1:
            return _classes(bits.pairs(batches), labels.reshape(len(labels)) > 0.5)
        if single:
            return _classes(bits.pairs(batches), labels[:, 0] > 0.5)
        if labels.ndim == 2:
            return _bits(bits, batches, labels)
        return _classes(bits.each(batches), labels.reshape(len(labels), -1) > 0.5)
    return _classes(batches, labels)


Batches = Iterator[tuple[int, Array]]


@dataclass
class _Worst:
    """The samples with the largest measures, in that order."""

    found: list[tuple[float, int, Wrong]] = field(default_factory=list)

    @property
    def least(self) -> float:
        """What a sample has to exceed."""
        return self.found[0][0] if len(self.found) == MOST_WRONG else -math.inf

    def add(self, wrong: Wrong) -> None:
        entry = (wrong.measure, -wrong.index, wrong)
        if len(self.found) < MOST_WRONG:
            heapq.heappush(self.found, entry)
        else:
            heapq.heappushpop(self.found, entry)

    def best_of(self, measures: Array, chosen: Array) -> Array:
        """Return which of a batch's samples may be among the worst."""
        order = chosen[np.argsort(-measures[chosen], kind="stable")][:MOST_WRONG]
        return order[measures[order] > self.least]

    def all(self) -> tuple[Wrong, ...]:
        return tuple(wrong for _, _, wrong in sorted(self.found, reverse=True))


# ---------------------------------------------------------------- classes


def _classes(batches: Batches, labels: Array) -> ClassAnswers:
    """labels [n, *space], outputs [n, K, *space]."""
    worst, matrix = _Worst(), None
    for first, outputs in batches:
        y = np.asarray(labels[first : first + len(outputs)], np.int64)
        outputs = outputs.reshape(len(outputs), outputs.shape[1], *y.shape[1:])
        classes = outputs.shape[1]
        if matrix is None:
            matrix = np.zeros((classes, classes), np.int64)
        answer = outputs.argmax(axis=1)
        pairs = y.reshape(-1) * classes + answer.reshape(-1)
        matrix += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        missed = answer != y
        if y.ndim == 1:
            _worst_classes(worst, first, scores(outputs), y, answer)
            continue
        parts = missed.reshape(len(y), -1).mean(axis=1)
        for i in worst.best_of(parts, np.flatnonzero(parts)).tolist():
            worst.add(Wrong(first + i, float(parts[i]), y[i].copy(), answer[i].copy()))
    assert matrix is not None  # there is at least one batch
    return ClassAnswers(matrix, worst.all(), pixels=labels.ndim > 1)


def _worst_classes(worst: _Worst, first: int, found: Floats, y: Array, answer: Array) -> None:
    each = np.arange(len(y))
    sure = found[each, answer]
    margin = sure - found[each, y]
    for i in worst.best_of(margin, np.flatnonzero(answer != y)).tolist():
        worst.add(Wrong(first + i, float(margin[i]), y[i], answer[i], float(sure[i])))


def scores(outputs: Array) -> Floats:
    """Return scores [n, K]: the outputs if they are distributions, else their softmax."""
    x = outputs.astype(np.float64)
    if x.shape[1] > 1 and x.min() >= 0 and np.allclose(x.sum(axis=1), 1, atol=1e-4):
        return x
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


# ---------------------------------------------------------------- 0 or 1


@dataclass(frozen=True)
class _Bits:
    """Outputs that say 1 above a threshold: a half of probabilities, 0 of logits."""

    threshold: float

    def probability(self, outputs: Array) -> Floats:
        x = outputs.astype(np.float64)
        return x if self.threshold else 0.5 + 0.5 * np.tanh(0.5 * x)

    def pairs(self, batches: Batches) -> Batches:
        """Yield outputs [n, 1, …] as those of two classes [n, 2, …], of which the second is 1."""
        for first, outputs in batches:
            p = self.probability(outputs.reshape(len(outputs), 1, *outputs.shape[2:]))
            yield first, np.concatenate([1 - p, p], axis=1)

    def each(self, batches: Batches) -> Batches:
        """The same of outputs [n, K, …], as [n, 2, K · …]."""
        for first, outputs in batches:
            p = self.probability(outputs.reshape(len(outputs), 1, -1))
            yield first, np.concatenate([1 - p, p], axis=1)


def _bits(bits: _Bits, batches: Batches, labels: Array) -> BitAnswers:
    counts = np.zeros((labels.shape[1], 2, 2), np.int64)
    worst = _Worst()
    for first, outputs in batches:
        y = labels[first : first + len(outputs)] > 0.5
        answer = outputs > bits.threshold
        for label in (0, 1):
            for said in (0, 1):
                counts[:, label, said] += np.count_nonzero((y == label) & (answer == said), axis=0)
        parts = (y != answer).mean(axis=1)
        for i in worst.best_of(parts, np.flatnonzero(parts)).tolist():
            worst.add(Wrong(first + i, float(parts[i]), y[i].copy(), answer[i].copy()))
    return BitAnswers(counts, worst.all())


# ---------------------------------------------------------------- numbers


def _numbers(batches: Batches, labels: Array) -> NumberAnswers:
    each = math.prod(labels.shape[1:])
    total = labels.size
    chosen = np.unique(np.linspace(0, total - 1, min(total, SCATTERED)).astype(np.int64))
    flat = labels.reshape(-1)
    worst, squares, pairs = _Worst(), 0.0, []
    for first, outputs in batches:
        y = labels[first : first + len(outputs)].astype(np.float64)
        outputs = outputs.astype(np.float64).reshape(y.shape)
        squared = np.square(outputs - y).reshape(len(y), -1)
        squares += float(squared.sum())
        here = chosen[(chosen >= first * each) & (chosen < (first + len(y)) * each)]
        pairs.append(np.stack([flat[here], outputs.reshape(-1)[here - first * each]], axis=1))
        far = np.sqrt(squared.mean(axis=1))
        for i in worst.best_of(far, np.arange(len(far))).tolist():
            worst.add(Wrong(first + i, float(far[i]), y[i].copy(), outputs[i].copy()))
    varied = float(np.square(flat - flat.mean(dtype=np.float64), dtype=np.float64).sum())
    return NumberAnswers(
        np.concatenate(pairs).astype(np.float64),
        total,
        math.sqrt(squares / total),
        1 - squares / varied if varied else math.nan,
        worst.all(),
    )


def _share(part: Array, whole: Array) -> Floats:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)
