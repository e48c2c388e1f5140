"""Whether a training learned anything, and which figures say why it did not.

Computed from what training recorded (the metrics of its epochs) and from the machine as it stands,
when someone asks; while training nothing is kept for it. Not for words: those are
`rpucc.report.text.verdict`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from rpucc import arguments, limits
from rpucc.errors import RpuccError
from rpucc.losses import OWN_CLASSES
from rpucc.runtime.answer_loss import answer_loss
from rpucc.runtime.cause import DEFAULT_LR, Cause
from rpucc.runtime.data.labels import fitted_labels
from rpucc.runtime.data.load import load_dataset
from rpucc.runtime.layer_figures import LayerFigures, layer_figures
from rpucc.runtime.machine import Machine
from rpucc.runtime.metrics import EpochMetrics
from rpucc.runtime.step_causes import step_causes
from rpucc.runtime.step_sizes import scored_shape

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runtime.data import Dataset
    from rpucc.runtime.data.load import DataSource

Array = NDArray[Any]

DEVIATIONS = 3.0
"""An error this many standard deviations of guessing below that of guessing is learned."""
LITTLE, BARELY = 0.5, 0.8
"""A test error (a regression's loss) above the first part of chance is looked into; above the
second it is little whatever the figures say."""
STILL = 0.5
"""Weights hardly moved if all their pulses together are less than this part of them."""
STILL_EXACT = 0.05
"""The same of exact updates, by how far weights are from where they started."""
BALANCED, FULL = 3.0, 30.0
"""Gains lr / (BL · dw_min): above the first one side of an update fires at every slot, above the
second trains are full whatever the gradient is."""
DIVERGED = 1.5
"""Loss of exact updates as a multiple of that of guessing."""
NOISE = 0.3
"""Noise of backward reads as a part of the errors that are read."""
SATURATED = 1e-4
"""Part of the reads."""
FAR = 3.0
"""Symmetry points as a multiple of the weights (root of the mean square)."""
ASYMMETRY = 0.1
"""Difference of an up and a down step as a part of their mean, where no weight evens it out."""
STATES, PULLED_STATES = 100, 500
"""Steps between a device's bounds; the second where each pulls the weight to a symmetry point, by a
share of about dw_min / w_max."""
CLIPPED = 0.05
AT_BOUNDS = 0.1
"""Parts of a layer's weights."""


@dataclass(frozen=True)
class Verdict:
    """What a training came to. `print(verdict)` says it; nothing where it went well."""

    learned: Literal["well", "little", "nothing"]
    """"nothing": no better than guessing, or no weight moved. "little": closer to guessing than to
    no error, where figures say why, or where it is barely off guessing."""
    measure: Literal["error", "loss"]
    """Test error as a fraction, or the test loss of a regression."""
    found: float
    chance: float
    """The same for always giving the most frequent class, or the mean of the targets."""
    epochs: int
    causes: tuple[Cause, ...] = ()
    """The most telling first."""

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data for JSON."""
        return asdict(self)

    def __str__(self) -> str:
        from rpucc.report.text.verdict import as_lines

        return "\n".join(as_lines(self))


def verdict(machine: Machine, dataset: DataSource, *, batch_size: int = 1) -> Verdict:
    """Judge what training has come to, by the metrics of its epochs (`machine.history`).

    dataset: the one it was trained on, as `load_dataset` takes it; its labels give the level of
    guessing. batch_size: as `fit` had it, 1 or more. Takes no training step; looks at the devices,
    and reads a few samples, which are counted nowhere, only where little was learned. Raises
    RpuccError before the first epoch is complete, DataError where the labels are not the program's,
    ArgumentError for other arguments.

    >>> import rpucc
    >>> machine = rpucc.Machine(rpucc.compile("mlp", "rpu-managed", verify=False))
    >>> data = rpucc.load_dataset("mnist-mini")
    >>> _ = rpucc.Trainer(machine).fit(data, epochs=1, lr=1e-6)
    >>> found = verdict(machine, data)
    >>> found.learned, [cause.kind for cause in found.causes]
    ('nothing', ['still'])
    """
    arguments.instance("verdict(machine)", machine, Machine, "a Machine")
    batch_size = arguments.integer("batch_size", batch_size, 1, limits.BATCH)
    if not machine.history:
        raise RpuccError("a verdict needs the metrics of one complete epoch; train it first")
    history = [EpochMetrics.from_record(record) for record in machine.history]
    last = history[-1]
    data = load_dataset(dataset)
    guess = _Guess(machine.program, *_labels(machine, data), last)
    state = guess.learned(last)
    if state == "well":
        return Verdict(state, guess.measure, guess.found(last), guess.chance, len(history))
    case = _Case(machine, history, guess)
    causes = tuple(_causes(case, step_causes(machine, data, case.lr, batch_size)))
    if causes and causes[0].kind == "still":
        state = "nothing"  # what it is better than guessing, it was before
    elif state == "little" and not causes and not guess.barely(last):
        state = "well"
    return Verdict(state, guess.measure, guess.found(last), guess.chance, len(history), causes)


# ---------------------------------------------------------------- the level of guessing


def _labels(machine: Machine, dataset: Dataset) -> tuple[Array, Array]:
    """Return the labels or targets of both parts as the program's loss has them."""
    program = machine.program
    shape = scored_shape(program)
    train, test = (
        np.asarray(fitted_labels(y, shape, program.loss, f"{dataset.name}: {part}"))
        for part, y in (("y_train", dataset.y_train), ("y_test", dataset.y_test))
    )
    return train, test


class _Guess:
    """What an answer that does not look at the sample comes to, on test and training data."""

    def __init__(self, program: Program, train: Array, test: Array, last: EpochMetrics) -> None:
        self.measure: Literal["error", "loss"] = "loss" if last.test_error is None else "error"
        if self.measure == "error":
            (self.chance, self._slack), (self._train, self._train_slack) = (
                _guessing(y) for y in (test, train)
            )
            shares = np.unique(train, return_counts=True)[1] / train.size
            self.loss = float(-np.sum(shares * np.log(shares))) if _is_plain(program) else math.nan
            """Cross-entropy of giving each class's share; of others nan, which nothing is above."""
            self.error_size = math.sqrt(max(len(shares) - 1, 1)) / max(len(shares), 2)
            """Of the loss's gradient, an output and sample (root of the mean square)."""
        else:
            mean = train.mean(axis=0, dtype=np.float64)
            outputs = max(test[0].size, 1)
            if program.loss == "mse":
                self.chance = self.loss = float(np.mean(np.square(test - mean)))
                self.error_size = 2 * math.sqrt(self.chance) / outputs
            else:
                self.chance = self.loss = answer_loss(program, mean, test)
                # How steep others are where nothing is learned is not known of all.
                self.error_size = 1 / outputs if program.loss == "mae" else math.inf
            self._slack = 0.05 * abs(self.chance)

    def found(self, last: EpochMetrics) -> float:
        return last.test_loss if last.test_error is None else last.test_error

    def learned(self, last: EpochMetrics) -> Literal["well", "little", "nothing"]:
        """Tell by test data, or by training data where these alone leave doubt."""
        better = not self.at_chance(last)
        if not better and last.train_error is not None:
            better = last.train_error < self._train - self._train_slack
        if not better:
            return "nothing"
        return "little" if self.found(last) > LITTLE * self.chance else "well"

    def barely(self, last: EpochMetrics) -> bool:
        """Tell whether test data show next to no difference to guessing."""
        return self.at_chance(last) or self.found(last) > BARELY * self.chance

    def at_chance(self, last: EpochMetrics) -> bool:
        """Tell whether test data cannot tell what was learned from guessing."""
        return not self.found(last) < self.chance - self._slack


def _is_plain(program: Program) -> bool:
    """Tell whether the loss of labels is a mean in which all count alike, and no one's own."""
    metric = program.step.metric("loss")
    return metric is None or (metric.weight is None and metric.rule != OWN_CLASSES)


def _guessing(labels: NDArray[Any]) -> tuple[float, float]:
    """The error of always giving the most frequent class, and how far chance alone may lead."""
    share = float(np.unique(labels, return_counts=True)[1].max()) / labels.size
    return 1 - share, DEVIATIONS * math.sqrt(share * (1 - share) / len(labels))


# ---------------------------------------------------------------- causes


@dataclass(frozen=True)
class _Case:
    """A training of which little came, with the figures of its layers."""

    machine: Machine
    history: list[EpochMetrics]
    guess: _Guess

    @property
    def last(self) -> EpochMetrics:
        return self.history[-1]

    @property
    def worse(self) -> bool:
        """Whether the loss is above that of guessing: updates do harm."""
        return self.last.test_loss > self.guess.loss

    @property
    def lr(self) -> float:
        return max((m.lr for m in self.history if m.lr is not None), default=0.0)


def _causes(case: _Case, steps: tuple[Cause, ...]) -> Iterator[Cause]:
    figures = layer_figures(case.machine, case.lr)
    found = [cause for test in _TESTS if (cause := test(case, figures)) is not None]
    fine = [cause for cause in steps if cause.kind == "fine"]
    if fine and not _helps(found, case.lr):
        # Weights that hardly move, at rates that such steps cannot follow, are what comes of it.
        found = fine + [cause for cause in found if cause.kind not in ("still", "gain")]
    if all(cause.kind != "states" for cause in found):  # which says the same of coarse steps
        found += [cause for cause in steps if cause.kind == "coarse"]
    first = [cause for cause in found if cause.kind in ("still", "diverged")]
    # Weights that did not move, or ran away, make figures that say nothing else.
    yield from first or found
    if not found:
        yield from _bounds(case, figures)
        yield from _slow(case, figures)


def _helps(found: list[Cause], lr: float) -> bool:
    """Tell whether UM, or a smaller rate, is what the pulses need already."""
    return any(
        cause.kind == "gain" and (cause.advice is None or cause.advice < lr) for cause in found
    )


Figures = list[LayerFigures]


def _still(case: _Case, layers: Figures) -> Cause | None:
    """Weights that are about where they were; those that others are handed on to, by how far."""
    if any(f.moved >= STILL_EXACT for f in layers if f.pulsed and not f.direct):
        return None
    pulsed = [f for f in layers if f.pulsed and f.direct]
    if pulsed:
        pulses = sum(m.pulses_per_weight for m in case.history)
        path = max(pulses * f.dw_min / f.size for f in pulsed if f.size)
        if path < STILL:
            change = min(f.train_change for f in pulsed)
            return Cause("still", (), path, STILL, change if change > case.lr else 10 * case.lr)
        return None
    moved = max((f.moved for f in layers), default=math.inf)
    return Cause("still", (), moved, STILL_EXACT, _larger(case.lr)) if moved < STILL_EXACT else None


def _larger(lr: float) -> float:
    """A rate to try in place of one that moves nothing: ten times, but no less than the default."""
    return max(10 * lr, DEFAULT_LR)


def _gain(case: _Case, layers: Figures) -> Cause | None:
    """A learning rate beyond what a train of pulses can do, and a loss that it made worse."""
    high = [f for f in layers if f.pulsed and f.gain > (FULL if f.update_management else BALANCED)]
    if not high or not case.worse:
        return None
    worst = max(high, key=lambda f: f.gain)
    if worst.gain <= FULL:
        option = "update.update_management=true"
        return Cause("gain", _names(high), worst.gain, worst.train_change, options=(option,))
    advice = max(worst.train_change, DEFAULT_LR)
    return Cause("gain", _names(high), worst.gain, worst.train_change, advice)


def _diverged(case: _Case, layers: Figures) -> Cause | None:
    """A loss far above that of guessing, where updates are exact: the rate is too high."""
    loss = case.last.test_loss
    if any(f.pulsed for f in layers) or not loss > DIVERGED * case.guess.loss:
        return None
    return Cause("diverged", (), loss, case.guess.loss, case.lr / 100)


def _noise(case: _Case, layers: Figures) -> Cause | None:
    """Backward reads whose noise drowns the errors that they bring, without noise management."""

    def errors(f: LayerFigures) -> float:
        return case.guess.error_size * f.size * math.sqrt(f.rows)

    drowned = [
        f
        for f in layers
        if f.reads_backward and not f.noise_backward and f.read_noise > NOISE * errors(f)
    ]
    if not drowned:
        return None
    worst = max(drowned, key=lambda f: f.read_noise / max(errors(f), 1e-30))
    option = "management.noise_backward=always"
    return Cause("noise", _names(drowned), worst.read_noise, errors(worst), options=(option,))


def _saturated(case: _Case, layers: Figures) -> Cause | None:
    """Reads that saturate where nothing reads them again."""
    share = case.last.saturated_reads / max(case.last.reads, 1)
    if share < SATURATED:
        return None
    for cycle in ("forward", "backward"):
        bare = [f for f in layers if f.bare(cycle)]
        if bare:
            option = f"management.bound_{cycle}=true"
            return Cause("saturated", _names(bare), share, SATURATED, options=(option,))
    return None


def _symmetry(case: _Case, layers: Figures) -> Cause | None:
    """Symmetry points far outside of where the weights live."""
    far = [f for f in layers if f.on_devices and f.symmetry > FAR * f.size]
    if not far:
        return None
    worst = max(far, key=lambda f: f.symmetry)
    can = all(f.shift for f in far)
    options = tuple(dict.fromkeys(f.shift for f in far)) if can else ()
    return Cause("symmetry", _names(far), worst.symmetry, worst.size, options=options)


def _asymmetry(case: _Case, layers: Figures) -> Cause | None:
    """Up and down steps that differ at every weight."""
    uneven = [f for f in layers if f.on_devices and f.asymmetry > ASYMMETRY]
    if not uneven:
        return None
    return Cause("asymmetry", _names(uneven), max(f.asymmetry for f in uneven), ASYMMETRY)


def _states(case: _Case, layers: Figures) -> Cause | None:
    """Steps that are coarse against the range of a weight."""

    def needed(f: LayerFigures) -> int:
        return PULLED_STATES if f.pulled else STATES

    # Weights that others are handed on to move by means of many gradients: steps may be coarse.
    direct = [f for f in layers if f.pulsed and f.direct]
    coarse = [f for f in direct if f.states * f.devices < needed(f)]
    if not coarse:
        return None
    worst = min(coarse, key=lambda f: f.states / needed(f))
    return Cause("states", _names(coarse), worst.states, needed(worst), worst.dw_min)


def _clipped(case: _Case, layers: Figures) -> Cause | None:
    """Weights that were cut to the bounds when they were programmed."""
    cut = [f for f in layers if f.clipped > CLIPPED]
    if not cut:
        return None
    options = () if all(f.scaled for f in cut) else ("mapping.weight_scaling=auto",)
    return Cause("clipped", _names(cut), max(f.clipped for f in cut), CLIPPED, options=options)


def _bounds(case: _Case, layers: Figures) -> Iterator[Cause]:
    """Weights that lie at their bounds; of other causes it is what follows."""
    full = [f for f in layers if f.at_bounds > AT_BOUNDS]
    if full and case.worse:
        yield Cause("bounds", _names(full), max(f.at_bounds for f in full), AT_BOUNDS)


def _slow(case: _Case, layers: Figures) -> Iterator[Cause]:
    """A loss just below that of guessing, and falling: it has only begun."""
    losses = [m.test_loss for m in case.history[-2:]]
    if case.guess.barely(case.last) and not case.worse and losses[-1] <= losses[0]:
        advice = None if any(f.gain > BALANCED for f in layers) else 3 * case.lr
        yield Cause("slow", (), losses[-1], case.guess.loss, advice)


def _names(layers: Figures) -> tuple[str, ...]:
    return tuple(f.layer for f in layers)


_TESTS: tuple[Callable[[_Case, Figures], Cause | None], ...] = (
    *(_still, _diverged, _gain, _noise, _saturated, _symmetry, _asymmetry, _clipped, _states),
)
"""In the order in which they are said."""
