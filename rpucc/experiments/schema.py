"""What an experiment's file may hold. All errors of a network in it are in percent.

Not for reading files (load.py) nor for comparing results with it (outcome.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Protocol, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from rpucc.target.target import LayerRule

AS_REPORTED = "as reported, from memory"
"""What stands beside every figure that was not checked against its source."""

CONSTANT = "constant"
"""The schedule of a rate that stays; older run folders name none."""

Percent = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]
Above0 = Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)]
Points = dict[str, Percent]
"""ExperimentRow -> percentage points."""
Text = Annotated[str, Field(min_length=1)]
RowName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$")]
"""Also a part of folder names."""
Positive = Annotated[int, Field(strict=True, ge=1)]
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**64)]


class Section(BaseModel):
    """A table of an experiment's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Training(Section):
    """How every row is trained (`[training]`, and `[quick]` for `--quick`)."""

    data: Text
    """A name of a data set; `--data` puts another in its place."""
    epochs: Positive
    batch_size: Positive = 1
    lr: Above0 = 0.01
    lr_schedule: Text = CONSTANT
    """How the rate changes from epoch to epoch, as for `rpucc train --lr-schedule`."""
    average: tuple[Positive, Positive]
    """The first and the last epoch over which the test error is averaged."""

    @model_validator(mode="after")
    def _window(self) -> Self:
        first, last = self.average
        if not first <= last <= self.epochs:
            raise conflict("average", list(self.average), "[first, last] within the epochs")
        return self


class Reach(Section):
    """What a full run has to show; every condition that is given must hold (`reach`)."""

    at_most: Percent | None = None
    at_least: Percent | None = None
    below: Points = Field(default_factory=dict)
    """ExperimentRow -> points: the mean lies below that row's, by at least so many points."""
    above: Points = Field(default_factory=dict)
    """ExperimentRow -> points: the mean lies above that row's, by at least so many points."""
    near: Points = Field(default_factory=dict)
    """ExperimentRow -> points: the mean is at most so many points above that row's."""
    share: dict[str, Above0] = Field(default_factory=dict)
    """ExperimentRow -> factor: the mean is at most so many times that row's."""

    @property
    def rows(self) -> tuple[str, ...]:
        """The rows that the conditions compare with."""
        return tuple(dict.fromkeys([*self.below, *self.above, *self.near, *self.share]))


class ExperimentRow(Section):
    """One configuration: a target's preset, and what is changed in it (`[[row]]`)."""

    name: RowName
    label: Text
    target: Text
    set: tuple[str, ...] = ()
    """Changes of the target, as for `--set`."""
    layer: tuple[LayerRule, ...] = ()
    """Layer rules as in a target's file, applied after `set`."""
    reported: str = ""
    """The figure of the source, in its words; empty where none is known."""
    note: str = ""
    """What a reader should know beside the numbers."""

    @property
    def overrides(self) -> tuple[str, ...]:
        """All changes as `--set` takes them, so that `rpucc train` can do the same."""
        return (*self.set, *(line for rule in self.layer for line in _as_overrides(rule)))


class TrainedRow(ExperimentRow):
    """A row of a training experiment."""

    seeds: tuple[Seed, ...] = ()
    """Seeds of the full experiment; without any, those of the experiment."""
    reach: Reach = Reach()


class ReportedLayer(Section):
    """A layer as the source lists it (`[[reported_layer]]`)."""

    name: Text
    R: Positive
    C: Positive
    reads: Positive
    macs: Positive
    """Multiply-accumulates, rounded to millions."""


class Described(Section):
    """What every experiment says of itself."""

    name: RowName
    title: Text
    source: Text
    """Where the reported figures come from."""
    figures: Text = AS_REPORTED
    """How they were taken from there."""
    about: Text
    """What the experiment shows, for readers of its page."""


class _Experiment(Described):
    model: Text
    """A name of the zoo or a path."""


class TrainingExperiment(_Experiment):
    """Rows are trained and their test errors compared (`kind = "training"`)."""

    kind: Literal["training"] = "training"
    training: Training
    quick: Training
    seeds: tuple[Seed, ...] = (0,)
    plot: tuple[RowName, ...] = ()
    """The rows of the plot, in order; without any, all."""
    row: tuple[TrainedRow, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_names(self.row)
        names = {row.name for row in self.row}
        for i, row in enumerate(self.row):
            for other in row.reach.rows:
                if other not in names or other == row.name:
                    raise conflict(f"row.{i}.reach", other, "the name of another row")
        for i, name in enumerate(self.plot):
            if name not in names:
                raise conflict(f"plot.{i}", name, "the name of a row")
        return self

    def seeds_of(self, row: TrainedRow) -> tuple[int, ...]:
        """The seeds of a row in the full experiment."""
        return row.seeds or self.seeds


class PlanExperiment(_Experiment):
    """Rows are compiled and their plans compared with a table (`kind = "plan"`)."""

    kind: Literal["plan"]
    row: tuple[ExperimentRow, ...]
    reported_layer: tuple[ReportedLayer, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_names(self.row)
        return self


class Named(Protocol):
    """A row."""

    @property
    def name(self) -> str:
        """What tells it from the others."""
        ...


def check_names(rows: Sequence[Named]) -> None:
    """Raise a conflict where there is no row, or two have one name."""
    if not rows:
        raise conflict("row", [], "one or more [[row]] tables")
    names = [row.name for row in rows]
    for i, name in enumerate(names):
        if name in names[:i]:
            raise conflict(f"row.{i}.name", name, "a name that no other [[row]] has")


def _as_overrides(rule: LayerRule) -> list[str]:
    """Write a layer rule as `--set` takes it: layer.<pattern>.<section>.<key>=<value>."""
    lines = []
    for section, values in rule.model_dump().items():
        if section == "match":
            continue
        entries = values if isinstance(values, dict) else {"": values}
        for key, value in entries.items():
            path = ".".join(part for part in ("layer", rule.match, section, key) if part)
            lines.append(f"{path}={json.dumps(value)}")
    return lines


def conflict(key: str, found: Any, allowed: str) -> PydanticCustomError:
    """Return the error of a key: what was found, what is allowed."""
    context = {"key": key, "found": found, "allowed": allowed}
    return PydanticCustomError("conflict", "{allowed}", context)
