"""What a training tells those who watch it: the callbacks of `Trainer.fit`.

Not for what it tells them: `metrics.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rpucc import arguments

if TYPE_CHECKING:
    from rpucc.runtime.metrics import EpochMetrics, Progress

EVENTS = ("on_epoch", "on_progress")
"""The methods that a callback may have, any of them or both."""

ALLOWED = (
    "a function of an EpochMetrics, or an object with the methods on_epoch(metrics), "
    "on_progress(progress) or both"
)


class WatchesEpochs(Protocol):
    """A callback that is told of every epoch."""

    def on_epoch(self, metrics: EpochMetrics, /) -> object:
        """An epoch is complete, tested, and its checkpoint is written."""


class WatchesProgress(Protocol):
    """A callback that is told about ten times a second, and at the end of each epoch's steps."""

    def on_progress(self, progress: Progress, /) -> object:
        """Training stands here."""


Callback: TypeAlias = "WatchesEpochs | WatchesProgress | Callable[[EpochMetrics], object]"
"""What one of `callbacks=` may be; a plain function is an `on_epoch`."""


class Callbacks:
    """The callbacks of one training, each event told in the order in which they were given."""

    def __init__(self, given: Sequence[Callback]) -> None:
        """Raise ArgumentError for what is no list, or holds what can be told nothing."""
        if isinstance(given, str | bytes) or not isinstance(given, Iterable):
            raise arguments.wrong("callbacks", given, f"a list; each is {ALLOWED}")
        self._told: dict[str, list[Callable[..., object]]] = {event: [] for event in EVENTS}
        for i, each in enumerate(given):
            methods = {event: getattr(each, event) for event in EVENTS if hasattr(each, event)}
            for event, method in (methods or {"on_epoch": each}).items():
                if not callable(method) or isinstance(each, type):
                    raise arguments.wrong(f"callbacks[{i}]", each, ALLOWED)
                self._told[event].append(method)

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Tell that an epoch is complete."""
        for tell in self._told["on_epoch"]:
            tell(metrics)

    def on_progress(self, progress: Progress) -> None:
        """Tell where training stands."""
        for tell in self._told["on_progress"]:
            tell(progress)
