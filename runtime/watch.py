"""What a training watches to stop early, to keep its best epoch and to lower its rate.

Everything follows from the metrics of the epochs, which a checkpoint holds: a resumed training
stops, keeps and lowers where one that was never interrupted does. Not for doing it: `training.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rpucc import arguments
from rpucc.errors import UsageError

MONITORS = {
    "loss": "validation_loss",
    "error": "validation_error",
    "train-loss": "train_loss",
    "train-error": "train_error",
}
"""What may be watched -> the metric of an epoch that it is. The test part is not among them: an
error that was chosen by is no measure of what was chosen."""


@dataclass(frozen=True)
class Watch:
    """What is watched, and what counts as better."""

    monitor: str = "loss"
    """One of MONITORS."""
    min_delta: float = 0.0
    """How far below the best so far a value has to be for `patience` and plateaus."""
    patience: int | None = None
    """Epochs in a row without a better one after which training ends; None for never."""

    @property
    def other(self) -> str:
        """The error in place of the loss, or the other way round."""
        error = self.monitor.replace("loss", "error")
        return error if error != self.monitor else self.monitor.replace("error", "loss")

    def needed(self, *, best: bool, plateau: bool) -> tuple[str, ...]:
        """Return what of a training watches."""
        parts = {
            "early stopping": self.patience is not None,
            "the best checkpoint": best,
            "the plateau schedule": plateau,
        }
        return tuple(name for name, there in parts.items() if there)

    def check(self, needed: tuple[str, ...], *, validated: bool) -> None:
        """Raise UsageError where validation samples are needed and there are none."""
        if needed and self.validates and not validated:
            raise UsageError(
                f"{needed[0]} watches the {self.monitor} of validation samples, and there are none:"
                " validation 0.1 takes a tenth of the training samples, monitor "
                f"train-{self.monitor} watches the training itself"
            )

    @property
    def validates(self) -> bool:
        """Whether validation samples are needed."""
        return MONITORS[self.monitor].startswith("validation")

    def values(self, history: Sequence[Mapping[str, Any]]) -> list[float]:
        """Return what was watched in each epoch; nan where that is not known."""
        found = (record.get(MONITORS[self.monitor]) for record in history)
        return [math.nan if value is None else float(value) for value in found]

    def is_best(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether the last epoch is better than all before it."""
        *earlier, last = self.values(history)
        return not math.isnan(last) and all(not last >= value for value in earlier)

    def stopped(self, history: Sequence[Mapping[str, Any]]) -> Stopped | None:
        """Return why the training has ended early; None where it goes on."""
        values = self.values(history)
        if self.patience is None or not values:
            return None
        *_, waited = waits(values, self.min_delta)
        if waited < self.patience:
            return None
        best = len(values) - waited
        return Stopped(len(values), best, values[best - 1] if best else math.nan, self)


@dataclass(frozen=True)
class Stopped:
    """A training that ended before its last epoch, because no epoch got better."""

    epoch: int
    """The last epoch."""
    best: int
    """The last epoch that was better by min_delta; 0 for none."""
    value: float
    """What was watched, there."""
    watch: Watch


def waits(values: Sequence[float], min_delta: float, cycle: int = 0) -> Iterator[int]:
    """Yield, of each epoch, for how many epochs in a row none has been better; a better one has 0.

    cycle: counting starts anew after so many. What is not known (nan) is not better.

    >>> list(waits([0.9, 0.5, 0.6, 0.5, 0.4], 0.0))
    [0, 0, 1, 2, 0]
    >>> list(waits([0.9, 0.9, 0.9, 0.9], 0.0, cycle=2))
    [0, 1, 2, 1]
    """
    best, waited = math.inf, 0
    for value in values:
        if value < best - min_delta:
            best, waited = value, 0
        else:
            waited = 1 if cycle and waited == cycle else waited + 1
        yield waited


def watch_of(monitor: object, min_delta: object, patience: object) -> Watch:
    """Return what arguments of `Trainer.fit` ask to watch; raises ArgumentError."""
    if not isinstance(monitor, str) or monitor not in MONITORS:
        raise arguments.wrong("monitor", monitor, " or ".join(map(repr, MONITORS)))
    least = arguments.not_negative("min_delta", min_delta)
    epochs = None if patience is None else arguments.integer("stop_early", patience, 1)
    return Watch(monitor, least, epochs)
