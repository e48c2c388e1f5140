"""Several trainings beside each other: in what they differ, and how each went.

Not for gathering them (rpucc.runs.compared), nor for how they look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rpucc.report import units
from rpucc.report.runs.run_report import History

MADE = "made with"
"""Of circumstances, which runs of earlier versions do not record: not to know is no difference."""


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs."""

    history: History
    command: str
    """What trains it again; "" where nothing says."""
    settings: Mapping[str, str]
    """How it was trained: keys of run.json."""
    target: Mapping[str, str]
    """Its target, key by key, with all overrides and defaults."""
    circumstances: Mapping[str, str]
    """Versions, machine, digests of model and data."""
    seconds: float | None = None
    """What its epochs took, without tests; None where nothing says."""

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_runs import run_html

        return run_html(self)


@dataclass(frozen=True)
class Difference:
    """A key that not all runs have alike."""

    about: str
    key: str
    values: tuple[str, ...]
    """Of each run; units.NONE where it has none."""


@dataclass(frozen=True)
class Comparison:
    """Runs in the order in which they were given."""

    runs: tuple[ComparedRun, ...]
    bits: str | None = None
    """A line that says why runs of one seed would not give the same bits, where that is so."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the runs are called."""
        return tuple(run.history.name for run in self.runs)

    @property
    def differences(self) -> tuple[Difference, ...]:
        """What they differ in: the training, then the target, then the circumstances."""
        parts = (("training", "settings"), ("target", "target"), (MADE, "circumstances"))
        found: list[Difference] = []
        for about, part in parts:
            each = [getattr(run, part) for run in self.runs]
            for key in dict.fromkeys(key for values in each for key in values):
                values = tuple(some.get(key, units.NONE) for some in each)
                known = {some[key] for some in each if key in some}
                if len(known if about == MADE else set(values)) > 1:
                    found.append(Difference(about, key, values))
        return tuple(found)

    def _repr_html_(self) -> str:
        from rpucc.report.html.repr_runs import comparison_html, run_html

        return comparison_html(self) if len(self.runs) > 1 else run_html(self.runs[0])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {
            "runs": [
                {
                    "run": run.history.name,
                    "command": run.command,
                    "epochs": [asdict(each) for each in run.history.metrics],
                    "training_seconds": run.seconds,
                }
                for run in self.runs
            ],
            "differences": [
                {
                    "about": each.about,
                    "key": each.key,
                    "values": dict(zip(self.names, each.values, strict=True)),
                }
                for each in self.differences
            ],
            "bits": self.bits,
        }


HEADINGS = (
    "run", "epochs", "last", "least", "in epoch", "training", "test loss", "pulses a weight",
    "saturated", "time",
)  # fmt: skip
"""Of the table of results; "last" and "least" are of the test error, else of the test loss."""


def results(runs: Sequence[ComparedRun]) -> list[tuple[str, ...]]:
    """Return a row a run: how it went."""
    return [_result(run) for run in runs]


def _result(run: ComparedRun) -> tuple[str, ...]:
    history = run.history
    last, best = history.last, history.best
    if last is None:
        return (history.name, "0", *[units.NONE] * 8)
    shown = units.percent if history.measured else units.number
    training = units.percent(last.train_error) if history.measured else units.NONE
    pulses = sum(each.pulses_per_weight for each in history.metrics)
    return (
        history.name,
        units.count(last.epoch),
        shown(history.score(last)),
        shown(history.score(best)) if best else units.NONE,
        units.count(best.epoch) if best else units.NONE,
        training,
        units.number(last.test_loss),
        units.large(pulses),
        units.percent(last.saturated_reads / max(last.reads, 1)),
        units.NONE if run.seconds is None else units.duration(run.seconds),
    )
