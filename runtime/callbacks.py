"""What a training tells those who watch it: the callbacks of `Trainer.fit`.

Not for what it tells them: `metrics.py` and `layer_stats.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Protocol, TypeAlias

from rpucc import arguments

if TYPE_CHECKING:
    from rpucc.runtime.layer_stats import LayerStats
    from rpucc.runtime.metrics import Ended, EpochMetrics, Progress, RunInfo, StepMetrics

EVENTS = ("on_start", "on_step", "on_progress", "on_layer_stats", "on_epoch", "on_finish")
"""The methods that a callback may have, one of them or more."""

ALLOWED = (
    "a function of an EpochMetrics, or an object with one or more of the methods "
    "on_epoch(metrics), on_layer_stats(stats), on_step(step), on_progress(progress), "
    "on_start(run) and on_finish(ended)"
)


class WatchesEpochs(Protocol):
    """A callback that is told of every epoch."""

    def on_epoch(self, metrics: EpochMetrics, /) -> object:
        """An epoch is complete, tested, and its checkpoint is written."""


class WatchesProgress(Protocol):
    """A callback that is told about ten times a second, and at the end of each epoch's steps."""

    def on_progress(self, progress: Progress, /) -> object:
        """Training stands here."""


class WatchesSteps(Protocol):
    """A callback that is told of every step: of a sample each, thousands a second."""

    def on_step(self, step: StepMetrics, /) -> object:
        """A step is done: its updates, too."""


class WatchesLayers(Protocol):
    """A callback that is told what each epoch did to each layer."""

    def on_layer_stats(self, stats: tuple[LayerStats, ...], /) -> object:
        """An epoch is complete, and its checkpoint is not written yet.

        So that what is kept of it is never behind the checkpoint, whenever a process is killed.
        """


class WatchesStart(Protocol):
    """A callback that is told what is about to be trained, before everything else."""

    def on_start(self, run: RunInfo, /) -> object:
        """Training begins, or goes on."""


class WatchesFinish(Protocol):
    """A callback that is told how a training ended, whatever ended it: nothing comes after it."""

    def on_finish(self, ended: Ended, /) -> object:
        """Training is complete, stopped early, interrupted (Ctrl-C), or failed with an error."""


Callback: TypeAlias = (
    "WatchesEpochs | WatchesProgress | WatchesSteps | WatchesLayers | WatchesStart | WatchesFinish"
    " | Callable[[EpochMetrics], object]"
)
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

    @property
    def watch_steps(self) -> bool:
        """Whether anyone is told of single steps: else nothing is made for them."""
        return bool(self._told["on_step"])

    @property
    def watch_layers(self) -> bool:
        """Whether anyone is told of layers: else nothing is computed for them."""
        return bool(self._told["on_layer_stats"])

    def on_start(self, run: RunInfo) -> None:
        """Tell what is about to be trained."""
        for tell in self._told["on_start"]:
            tell(run)

    def on_finish(self, ended: Ended) -> None:
        """Tell how training ended: everyone, in the other order; raises what the first one did."""
        with ExitStack() as all_told:
            for tell in self._told["on_finish"]:
                all_told.callback(tell, ended)

    def on_step(self, step: StepMetrics) -> None:
        """Tell that a step is done."""
        for tell in self._told["on_step"]:
            tell(step)

    def on_progress(self, progress: Progress) -> None:
        """Tell where training stands."""
        for tell in self._told["on_progress"]:
            tell(progress)

    def on_layer_stats(self, stats: tuple[LayerStats, ...]) -> None:
        """Tell what an epoch did to each layer."""
        for tell in self._told["on_layer_stats"]:
            tell(stats)

    def on_epoch(self, metrics: EpochMetrics) -> None:
        """Tell that an epoch is complete."""
        for tell in self._told["on_epoch"]:
            tell(metrics)
