"""What the page of a run shows, gathered; and the same as plain data for JSON.

Not for gathering it (rpucc.runs.gather), nor for how it looks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from rpucc.report.drawings.drawing_model import Scene

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from rpucc.program import Program
    from rpucc.runs.layer_record import EpochRecord
    from rpucc.runtime.answers import Answers, Wrong
    from rpucc.runtime.layer_effects import ByLayer
    from rpucc.runtime.metrics import EpochMetrics
    from rpucc.runtime.plane_figures import DeviceFigures, PlaneState

    Pixels = NDArray[np.uint8]

Settings = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class LayerReport:
    """The arrays of one layer at present."""

    layer: str
    weights: int
    states: tuple[PlaneState, ...]
    devices: tuple[DeviceFigures, ...]

    def device(self, plane: str) -> DeviceFigures | None:
        """Return the figures of a plane's devices; None where pulses do not change it."""
        return next((each for each in self.devices if each.plane == plane), None)


@dataclass(frozen=True)
class AnswerReport:
    """What the network answers to the test part of a data set."""

    data: str
    samples: int
    found: Answers
    pictures: tuple[Pixels, ...]
    """One for each of `found.worst`; () where the samples are no images."""
    class_names: tuple[str, ...] = ()
    """Of class 0, 1, …, where the data set has names."""

    def class_name(self, index: int) -> str:
        """Return what a class is called: its number where it has no name."""
        names = self.class_names
        return names[index] if index < len(names) else str(index)


@dataclass(frozen=True)
class History:
    """How a training went, epoch by epoch."""

    name: str
    """What pages call the run."""
    metrics: tuple[EpochMetrics, ...]
    records: tuple[EpochRecord, ...]
    """What layers.jsonl has; () where nothing was recorded."""
    steps: tuple[tuple[float, float], ...] = ()
    """The loss while epochs ran: (epochs so far, mean loss since the one before)."""

    @property
    def last(self) -> EpochMetrics | None:
        """The last complete epoch."""
        return self.metrics[-1] if self.metrics else None

    @property
    def measured(self) -> bool:
        """Whether there is an error; else there is only the loss."""
        return any(each.test_error is not None for each in self.metrics)

    @property
    def best(self) -> EpochMetrics | None:
        """The epoch with the least test error, or loss where there is none."""
        found = [each for each in self.metrics if math.isfinite(self.score(each))]
        return min(found, key=self.score, default=None)

    def score(self, metrics: EpochMetrics) -> float:
        """Return what the network is judged by after an epoch: the smaller, the better."""
        if not self.measured:
            return metrics.test_loss
        return math.nan if metrics.test_error is None else metrics.test_error


@dataclass(frozen=True)
class RunReport:
    """A run with everything that its page shows."""

    history: History
    program: Program
    seed: int
    trained: str
    """How far: "after 5 epochs"."""
    settings: Settings
    """Keys of run.json with their values."""
    target: str
    """The target with all overrides, as TOML."""
    command: str
    """What trains it again."""
    layers: tuple[LayerReport, ...]
    start: dict[tuple[str, str], PlaneState]
    """Where the weights of a layer's plane lay before training, where that is known."""
    answers: AnswerReport | None
    verdict: tuple[str, ...]
    missing: tuple[str, ...]
    """What cannot be shown, and why; a line each."""
    by_layer: ByLayer | None = None
    """Which layer costs accuracy, where that was asked for."""

    @property
    def scene(self) -> Scene:
        """The program, for drawings of its plan."""
        return Scene(self.program)

    def to_dict(self) -> dict[str, Any]:
        """Return the figures as plain data."""
        return {
            "run": self.history.name,
            "model": self.program.name,
            "seed": self.seed,
            "command": self.command,
            "settings": dict(self.settings),
            "epochs": [asdict(each) for each in self.history.metrics],
            "recorded": [asdict(each) for each in self.history.records],
            "layers": [
                {
                    "layer": each.layer,
                    "weights": each.weights,
                    "planes": [
                        {**asdict(state), "start": _start(self.start, each.layer, state.plane)}
                        for state in each.states
                    ],
                    "devices": [_plain(asdict(devices)) for devices in each.devices],
                }
                for each in self.layers
            ],
            "answers": _answers(self.answers),
            "by_layer": None if self.by_layer is None else self.by_layer.to_dict(),
            "verdict": list(self.verdict),
            "missing": list(self.missing),
        }


def _start(
    start: dict[tuple[str, str], PlaneState], layer: str, plane: str
) -> dict[str, Any] | None:
    found = start.get((layer, plane))
    return None if found is None else asdict(found)


def _answers(report: AnswerReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    found = report.found
    own = {key: value for key, value in vars(found).items() if key != "worst"}
    worst = [_wrong(each) for each in found.worst]
    common = {"data": report.data, "samples": report.samples, "kind": found.kind}
    if report.class_names:
        common["class_names"] = list(report.class_names)
    return {**common, **_plain(own), "worst": worst}


def _wrong(found: Wrong) -> dict[str, Any]:
    """A wrong answer; of a whole image of labels only how wrong it is."""
    each = {"index": found.index, "measure": found.measure}
    if found.label.ndim < 2:
        each |= {"label": _plain(found.label), "answer": _plain(found.answer)}
    if math.isfinite(found.score):
        each["score"] = found.score
    return each


def _plain(value: Any) -> Any:
    """Return arrays as lists; dictionaries and lists item by item."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
