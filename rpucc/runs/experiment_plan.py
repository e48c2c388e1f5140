"""What `rpucc reproduce` was asked for: which version of an experiment, which runs it takes.

Not for training them (tasks.py) nor for tables (rpucc.report.experiments.tables).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import portable
from rpucc.errors import ExperimentError, RpuccError, TargetError, UsageError
from rpucc.runs.tasks import Task, digest_of, read_run, run_folders

if TYPE_CHECKING:
    from rpucc.experiments.configuration import Configuration
    from rpucc.experiments.outcome import Outcome, Run
    from rpucc.experiments.schema import TrainedRow, Training, TrainingExperiment
    from rpucc.experiments.toys import ToyExperiment

RUNS = "runs"
"""The folder of run folders beside those of the experiments."""


@dataclass(frozen=True)
class Wish:
    """The command's options."""

    output: Path
    further: tuple[Path, ...] = ()
    """Folders with runs to take results from; nothing is written there."""
    quick: bool = False
    seeds: tuple[int, ...] | None = None
    epochs: int | None = None
    rows: tuple[str, ...] | None = None
    data: str | None = None
    data_dir: str | None = None
    jobs: int = 1
    trust: bool = False
    """Whether devices may be imported that only the experiment names."""
    report: bool = False


@dataclass(frozen=True)
class Version:
    """An experiment as it is wanted: full or quick, with which epochs and data."""

    experiment: TrainingExperiment
    wish: Wish

    @property
    def name(self) -> str:
        """The folder of its results: what differs from the full experiment is in it."""
        parts = [self.experiment.name]
        if self.wish.quick:
            parts.append("quick")
        if self.training.epochs != self._base.epochs:
            parts.append(f"{self.training.epochs}-epochs")
        return "-".join(parts)

    @property
    def folder(self) -> Path:
        """Where its results go."""
        return self.wish.output / self.name

    @property
    def full(self) -> bool:
        """Whether what the experiment says is to be reached applies."""
        return not self.wish.quick and self.training.epochs >= self._base.epochs

    @property
    def _base(self) -> Training:
        return self.experiment.quick if self.wish.quick else self.experiment.training

    @cached_property
    def training(self) -> Training:
        """How to train; with other epochs, the window keeps its length and ends with them."""
        base, epochs = self._base, self.wish.epochs
        found = {"data": self.wish.data or base.data}
        if epochs is None or epochs == base.epochs:
            return base.model_copy(update=found)
        first, last = base.average
        window = (max(1, epochs - (last - first)), epochs)
        return base.model_copy(update={**found, "epochs": epochs, "average": window})

    @property
    def rows(self) -> tuple[TrainedRow, ...]:
        """The rows that are wanted; raises UsageError for a name that is none."""
        return chosen_rows(self.experiment, self.wish.rows)

    def seeds(self, row: TrainedRow) -> tuple[int, ...]:
        """The seeds of a row; a quick version has one."""
        if self.wish.seeds is not None:
            return self.wish.seeds
        return self.experiment.seeds_of(row)[: 1 if self.wish.quick else None]

    @cached_property
    def digest(self) -> str:
        """The digest of the data; where nothing is trained, stored results may say it."""
        from rpucc.experiments.store import RESULTS, stored_digest

        results = self.folder / RESULTS
        if self.wish.report and self.wish.data is None and results.is_file():
            found = stored_digest(results.read_text(encoding="utf-8", errors="replace"))
            if found is not None:
                return found
        return digest_of(self.training.data, self.wish.data_dir)

    @cached_property
    def configurations(self) -> dict[str, Configuration]:
        """Row -> what determines its numbers; without the rows that are `refused`."""
        return self._checked[0]

    @property
    def refused(self) -> list[str]:
        """Messages about wanted rows whose target this rpucc refuses."""
        return [text for row in self.rows for text in self._checked[1].get(row.name, ())]

    @cached_property
    def _checked(self) -> tuple[dict[str, Configuration], dict[str, list[str]]]:
        from rpucc.experiments.configuration import row_configuration

        good, bad = {}, {}
        name = self.experiment.name
        model, training, digest = self.experiment.model, self.training, self.digest
        for row in self.experiment.row:
            try:
                good[row.name] = row_configuration(row, model, training, digest)
            except TargetError as error:
                bad[row.name] = [f"{name}: row {row.name!r}: {text}" for text in error.args]
        return good, bad


def chosen_rows(
    experiment: TrainingExperiment | ToyExperiment[Any], names: tuple[str, ...] | None
) -> tuple[Any, ...]:
    """Return the rows of these names, or all; UsageError for a name that is none."""
    known = {row.name: row for row in experiment.row}
    for name in names or ():
        if name not in known:
            raise UsageError(
                f"--rows: {experiment.name} has no row {name!r}; rows: {', '.join(known)}"
            )
    return experiment.row if names is None else tuple(known[name] for name in names)


# ---------------------------------------------------------------- runs


Known = dict[tuple[str, int], "Run"]
"""Fingerprint and seed of a run -> the longest run that was found."""


def known_runs(wish: Wish, version: Version | None = None) -> Known:
    """Return the runs in the output folder, in further ones, and in a version's stored results.

    A further folder that cannot be read is named on standard error and left out.
    """
    from rpucc.terminal import say

    known: Known = {}
    for place in (wish.output / RUNS, *wish.further):
        for folder in run_folders(place):
            try:
                _keep(known, read_run(folder))
            except RpuccError as error:
                if place not in wish.further:
                    raise
                say(f"left out: {error}")
    for run in stored(version.folder) if version is not None else ():
        _keep(known, run)
    return known


def _keep(known: Known, run: Run) -> None:
    key = (run.fingerprint, run.seed)
    if key not in known or len(run.epochs) > len(known[key].epochs):
        known[key] = run


def stored(folder: Path) -> list[Run]:
    """Return the runs in an experiment's stored results; ExperimentError where damaged."""
    from rpucc.checked import read_text
    from rpucc.experiments.store import METRICS, RESULTS, stored_runs

    results, metrics = folder / RESULTS, folder / METRICS
    if not (results.is_file() and metrics.is_file()):
        return []
    try:
        first, second = read_text(results), read_text(metrics)
    except ValueError as error:
        raise ExperimentError(
            f"{folder}: the stored results are damaged ({error}); remove {RESULTS} and {METRICS}"
        ) from None
    return stored_runs(first, second, str(folder))


def tasks(version: Version, known: Known) -> list[Task]:
    """Return the runs that are not done, in the order of the rows."""
    from rpucc.experiments.configuration import fingerprint

    found = []
    training, wish = version.training, version.wish
    for row in version.rows:
        configuration = version.configurations.get(row.name)
        if configuration is None:
            continue
        mark = fingerprint(configuration)
        for seed in version.seeds(row):
            run = known.get((mark, seed))
            if run is not None and len(run.epochs) >= training.epochs:
                continue
            task = Task(
                title=f"{row.name}, seed {seed}",
                folder=str(_own_folder(wish.output / RUNS, row, mark, seed)),
                model=version.experiment.model,
                target=row.target,
                overrides=row.overrides,
                data=training.data,
                data_dir=wish.data_dir,
                epochs=training.epochs,
                batch_size=training.batch_size,
                lr=training.lr,
                lr_schedule=training.lr_schedule,
                seed=seed,
                trust=wish.trust,
                configuration=configuration,
                portable=portable.asked(),
            )
            found.append(task)
    return found


def _own_folder(runs: Path, row: TrainedRow, mark: str, seed: int) -> Path:
    """Return the run's folder, which another experiment may have begun under its own row's name."""
    begun = sorted(runs.glob(f"*-{mark}-seed{seed}"))
    return begun[0] if begun else runs / f"{row.name}-{mark}-seed{seed}"


def collect(version: Version, known: Known) -> Outcome:
    """Return what all known runs of a version say, of whatever seed.

    Says on standard error how many this process would not train to the same bits.
    """
    from rpucc.experiments.configuration import fingerprint
    from rpucc.experiments.outcome import outcome
    from rpucc.runs.same_bits import made_elsewhere
    from rpucc.terminal import say

    runs: dict[str, tuple[Run, ...]] = {}
    seeds = version.wish.seeds
    for name, configuration in version.configurations.items():
        mark = fingerprint(configuration)
        runs[name] = tuple(
            run
            for (found, seed), run in known.items()
            if found == mark and (seeds is None or seed in seeds)
        )
    if line := made_elsewhere([run.made_with for each in runs.values() for run in each]):
        say(f"{version.name}: {line}")
    return outcome(version.experiment, version.training, runs, quick=not version.full)
