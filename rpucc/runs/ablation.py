"""Which effect costs accuracy: a training with one cause taken away at a time, and with each alone.

The rows are an experiment like those of `rpucc reproduce`: its runner trains them, its store finds
them again. Not for which causes there are (causes.py), for reads of weights as they are
(ablation_reads.py), nor for what is compared with what (rpucc.experiments.ablation).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from rpucc.errors import RpuccError, TargetError, UsageError
from rpucc.experiments.ablation import ALL, NONE, Ablation, Compared, Figure, RowPlan, effects_of
from rpucc.experiments.configuration import fingerprint
from rpucc.experiments.schema import TrainedRow, Training, TrainingExperiment
from rpucc.runs.causes import Cause, causes_of, overrides_without
from rpucc.runs.experiment_plan import Version, Wish
from rpucc.target.target import Target
from rpucc.trust import Trust

if TYPE_CHECKING:
    from rpucc.experiments.outcome import Outcome
    from rpucc.runs.tasks import Task

VARIATIONS = "variations"
VARIATIONS_LABEL = "device variations, together"


@dataclass(frozen=True)
class AblationWish:
    """What an ablation is of."""

    target: str
    model: str
    overrides: tuple[str, ...] = ()
    """Of the target, in every row."""
    causes: tuple[str, ...] | None = None
    """Only these; None for all that the target has."""
    layers: tuple[str, ...] = ()
    """Patterns between commas: the layers that lose their device variations in a row of its own."""
    reads: bool = False
    """Only what acts on reads of weights as they are."""
    read_only: bool = False
    """Weights are on their devices already: only what stands around arrays can be taken away."""


@dataclass(frozen=True)
class AblationRows:
    """The rows that a target makes, and what is compared."""

    wish: AblationWish
    given: Target | None = None
    """The target where it is there already."""
    admitted: Trust | None = None
    """Which devices of that target may be imported."""

    @cached_property
    def target(self) -> Target:
        """The target with the overrides of every row."""
        return self.given or Target.load(self.wish.target, self.wish.overrides)

    @cached_property
    def trust(self) -> Trust:
        """Where the caller named the target, that names its devices, too."""
        if self.admitted is not None:
            return self.admitted
        folder = self.target.folder
        return Trust(every=True, folders=() if folder is None else (folder,))

    @cached_property
    def causes(self) -> tuple[Cause, ...]:
        """Those that the target has; UsageError for a wish of others, TargetError for none."""
        found = causes_of(self.target, self.trust, reads=self.wish.reads)
        if self.wish.read_only:
            found = tuple(cause for cause in found if cause.name not in ON_DEVICES)
        if not found:
            kind = "reads" if self.wish.reads else "a training"
            raise TargetError(
                f"target {self.target.name}: has no effect that could be taken away from {kind}; "
                "one with noise, bounds, converters or devices is needed, as in rpu-managed"
            )
        names = [cause.name for cause in found]
        if len(_variations(found)) > 1:
            names.append(VARIATIONS)
        for name in self.wish.causes or ():
            if name not in names:
                raise UsageError(
                    f"--causes: target {self.target.name} has no cause {name!r}; it has "
                    f"{', '.join(names)}"
                )
        return found

    @cached_property
    def _wanted(self) -> tuple[Cause, ...]:
        chosen = self.wish.causes
        return tuple(c for c in self.causes if chosen is None or c.name in chosen)

    def _needs(self, cause: Cause) -> str:
        """What a cause needs, if the target has it."""
        return cause.needs if any(c.name == cause.needs for c in self.causes) else ""

    @cached_property
    def rows(self) -> tuple[RowPlan, ...]:
        """All of them: with everything, with nothing, without each, with each alone."""
        every = frozenset(cause.name for cause in self.causes)
        found = [RowPlan(ALL, "all effects"), RowPlan(NONE, "none", every)]
        for cause in self._wanted:
            gone = frozenset(c.name for c in self.causes if cause.name in (c.name, self._needs(c)))
            found.append(RowPlan(f"no-{cause.name}", f"without {cause.label}", gone))
        variations, chosen = _variations(self.causes), self.wish.causes
        if VARIATIONS in chosen if chosen is not None else len(variations) > 1:
            found.append(RowPlan(f"no-{VARIATIONS}", f"without {VARIATIONS_LABEL}", variations))
        if self.wish.layers and not variations:
            raise UsageError(f"--layers: target {self.target.name} has no device variations")
        for row, layers in zip(self._layer_rows, self.wish.layers, strict=True):
            patterns = tuple(word.strip() for word in layers.split(","))
            label = f"without device variations in {layers}"
            found.append(RowPlan(row, label, variations, patterns))
        kept = {cause.name: cause for cause in self._wanted}
        for cause in self._wanted:  # what another needs is a row, too
            kept |= {c.name: c for c in self.causes if c.name == self._needs(cause)}
        for cause in kept.values():
            gone = every - {cause.name, self._needs(cause)}
            found.append(RowPlan(f"only-{cause.name}", f"{cause.label} alone", gone))
        return tuple(found)

    @property
    def _layer_rows(self) -> list[str]:
        """Names of rows that say which layers they are about, as far as a name may."""
        words = [re.sub(r"[^a-z0-9.]+", "-", each.lower()).strip("-.") for each in self.wish.layers]
        return [f"no-{VARIATIONS}-{i + 1}-{word}".rstrip("-") for i, word in enumerate(words)]

    @cached_property
    def overrides(self) -> dict[str, tuple[str, ...]]:
        """Row -> what makes it of the target, without the overrides that all have."""
        return {
            row.name: overrides_without(self.target, row.removed, self.trust, row.layers)
            for row in self.rows
        }

    @cached_property
    def compared(self) -> dict[str, Compared]:
        """Cause -> the rows that say what it takes."""
        names = {row.name for row in self.rows}
        found = {}
        for cause in self._wanted:
            needs = self._needs(cause)
            found[cause.name] = Compared(
                cause.name, cause.label, f"no-{cause.name}", f"only-{cause.name}",
                f"only-{needs}" if needs else NONE,
            )  # fmt: skip
        if f"no-{VARIATIONS}" in names:
            found[VARIATIONS] = Compared(
                VARIATIONS, VARIATIONS_LABEL, f"no-{VARIATIONS}", together=True
            )
        for row, layers in zip(self._layer_rows, self.wish.layers, strict=True):
            label = f"device variations in {layers}"
            found[row] = Compared(f"{VARIATIONS} in {layers}", label, row, together=True)
        return found

    def ablation(
        self, errors: Mapping[str, Figure], data: str, average: tuple[int, int], kind: str
    ) -> Ablation:
        """Compare the rows; errors: row -> percent."""
        return Ablation(
            target=self.target.name,
            model=Path(self.wish.model).name,
            data=data,
            kind=kind,
            epochs=average[1],
            average=average,
            overrides=self.wish.overrides,
            everything=errors.get(ALL),
            nothing=errors.get(NONE),
            effects=effects_of(self.compared, errors, self.overrides),
        )


def _variations(causes: Iterable[Cause]) -> frozenset[str]:
    return frozenset(cause.name for cause in causes if cause.variation)


ON_DEVICES = ("weight-bounds", "bound-spread")
"""Causes that act when weights are programmed."""


# ---------------------------------------------------------------- trainings


@dataclass(frozen=True)
class AblationVersion(Version):
    """The rows as an experiment, whose results lie beside the runs."""

    @property
    def folder(self) -> Path:
        """The output folder itself: there is one ablation in it."""
        return self.wish.output


def window(epochs: int) -> tuple[int, int]:
    """Return the epochs that errors are averaged over: the last third.

    >>> window(10), window(1)
    ((7, 10), (1, 1))
    """
    return epochs - -(-epochs // 3) + 1, epochs


def training_version(rows: AblationRows, training: Training, wish: Wish) -> AblationVersion:
    """Return the experiment that trains the rows. Raises as `AblationRows`."""
    wanted = tuple(
        TrainedRow(
            name=row.name,
            label=row.label,
            target=rows.wish.target,
            set=(*rows.wish.overrides, *rows.overrides[row.name]),
        )
        for row in rows.rows
    )
    experiment = TrainingExperiment(
        name="ablation",
        title=f"Which effect costs accuracy: {Path(rows.wish.model).name} on {rows.target.name}",
        source="measured",
        figures="measured",
        about="One cause taken away at a time, and each alone.",
        model=rows.wish.model,
        training=training,
        quick=training,
        row=wanted,
    )
    return AblationVersion(experiment, replace(wish, trust=True))


def errors_of(found: Outcome) -> dict[str, Figure]:
    """Return the error of each row that has one, by seed."""
    return {each.row.name: Figure(each.seed_means) for each in found.rows if each.seed_means}


def train_ablation(rows: AblationRows, training: Training, wish: Wish) -> Ablation:
    """Train the rows that are not trained yet, and compare.

    Writes the run folders, and the figures beside them. Raises RpuccError for rows that failed;
    what is trained stays.
    """
    from rpucc.experiments.store import METRICS, RESULTS, metrics_csv, results
    from rpucc.outputs import to_json, write_text
    from rpucc.runs.experiment_plan import collect, known_runs, tasks
    from rpucc.runs.tasks import train_tasks
    from rpucc.terminal import say

    version = training_version(rows, training, wish)
    if version.refused:
        raise TargetError(*version.refused)
    _check(rows)
    to_do = _once(tasks(version, known_runs(version.wish, version)))
    wanted = sum(len(version.seeds(row)) for row in version.rows)
    say(f"{wanted} runs in {len(version.rows)} rows, of which {len(to_do)} are to be trained")
    failures = train_tasks(to_do, wish.jobs)
    if failures:
        raise RpuccError(*failures)
    found = collect(version, known_runs(version.wish, version))
    data = Path(training.data).name
    write_text(version.folder / METRICS, metrics_csv(found))
    write_text(version.folder / RESULTS, to_json(results(found, data, version.digest)) + "\n")
    return rows.ablation(errors_of(found), data, training.average, "training")


def _check(rows: AblationRows) -> None:
    """Compile what may be wrong with a model or a pattern of layers, before any training."""
    from rpucc.compiler.compile import compile_model

    wish = rows.wish
    for row in rows.rows:
        if row.name == ALL or row.layers:
            overrides = (*wish.overrides, *rows.overrides[row.name])
            compile_model(wish.model, wish.target, overrides=overrides, verify=False)


def _once(found: Sequence[Task]) -> list[Task]:
    """Leave out trainings of the same configuration and seed: rows may come to the same."""
    first: dict[tuple[str, int], Task] = {}
    for task in found:
        first.setdefault((fingerprint(task.configuration), task.seed), task)
    return list(first.values())
