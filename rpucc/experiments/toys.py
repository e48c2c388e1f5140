"""What a toy's file may hold: a small problem, solved by single arrays (`kind = "toy"`).

A row is one way to build the arrays; every row gives one number at each value of the axis. Not for
networks: schema.py; not for the problems themselves: toy_problems.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from rpucc.experiments.schema import (
    Above0,
    Described,
    RowName,
    Section,
    Seed,
    Text,
    check_names,
    conflict,
)
from rpucc.experiments.toy_problems import Problem

Number = Annotated[float, Field(allow_inf_nan=False)]
Table = dict[str, Any]

TABLES = ("device", "cell", "update", "management", "periphery", "calibration")
"""The tables of a target that a row may have, as `rpucc.Array` takes them."""


class Axis(Section):
    """What is changed from point to point (`[axis]`)."""

    label: Text
    keys: tuple[Text, ...]
    """The keys that get its value: of a table, as "device.up_down", or of the problem."""
    values: tuple[Number, ...] = Field(min_length=1)


class ToyReach(Section):
    """What a full run has to show; every condition that is given must hold (`reach`)."""

    factor: Annotated[float, Field(strict=True, gt=1, allow_inf_nan=False)] | None = None
    """Every value lies within this factor of the expected one."""
    within: Above0 | None = None
    """Every value lies so near the expected one."""
    slope: Number | None = None
    """Of the logarithm of the values against that of the axis, by least squares."""
    slope_within: Above0 = 0.1
    below: dict[str, Above0] = Field(default_factory=dict)
    """Row -> factor: every value is below so many times that row's."""

    @property
    def of_expected(self) -> bool:
        """Whether a condition compares with what is expected."""
        return self.factor is not None or self.within is not None


class ToyArrays(Section):
    """Tables of a target, as `rpucc.Array` takes them (`[array]`, and in a row)."""

    device: Table = Field(default_factory=dict)
    cell: Table = Field(default_factory=dict)
    update: Table = Field(default_factory=dict)
    management: Table = Field(default_factory=dict)
    periphery: Table = Field(default_factory=dict)
    calibration: Table = Field(default_factory=dict)


class ToyRow(ToyArrays):
    """One way to build the arrays (`[[row]]`); its tables go over those of `[array]`."""

    name: RowName
    label: Text
    problem: Table = Field(default_factory=dict)
    """Keys of the problem that differ."""
    expected: tuple[Number, ...] = ()
    """One number a value of the axis."""
    reach: ToyReach = ToyReach()
    note: str = ""
    """What a reader should know beside the numbers."""


class Quick(Section):
    """What `--quick` changes (`[quick]`)."""

    problem: Table = Field(default_factory=dict)
    values: tuple[Number, ...] = ()
    """Of the axis; without any, all."""


@dataclass(frozen=True)
class Point:
    """A row at one value of the axis: the problem, and the tables of its arrays."""

    problem: Problem
    tables: Mapping[str, Table]


P = TypeVar("P", bound=Problem)


class ToyExperiment(Described, Generic[P]):
    """A small problem on single arrays, row by row and value by value."""

    kind: Literal["toy"]
    problem: P
    measured: Text
    """What the numbers are."""
    axis: Axis
    array: ToyArrays = ToyArrays()
    quick: Quick = Quick()
    seeds: tuple[Seed, ...] = (0,)
    row: tuple[ToyRow, ...]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_names(self.row)
        names = {row.name for row in self.row}
        for i, row in enumerate(self.row):
            if row.expected and len(row.expected) != len(self.axis.values):
                wanted = f"{len(self.axis.values)} numbers, one a value of the axis"
                raise conflict(f"row.{i}.expected", list(row.expected), wanted)
            if row.reach.of_expected and not row.expected:
                raise conflict(f"row.{i}.reach", None, "expected, a number a value of the axis")
            for other in row.reach.below:
                if other not in names or other == row.name:
                    raise conflict(f"row.{i}.reach.below", other, "the name of another row")
        for key in self.axis.keys:
            if key.partition(".")[0] not in (*TABLES, "problem"):
                allowed = f"keys such as device.dw_min, of {', '.join(TABLES)} or problem"
                raise conflict("axis.keys", key, allowed)
        return self

    def values(self, *, quick: bool) -> tuple[float, ...]:
        """Return the values of the axis."""
        return (self.quick.values or self.axis.values) if quick else self.axis.values

    def point(self, row: ToyRow, value: float, *, quick: bool) -> Point:
        """Return what a row is at a value of the axis.

        Raises pydantic's ValidationError for a problem that is none then.
        """
        tables = {name: {**getattr(self.array, name), **getattr(row, name)} for name in TABLES}
        problem = {**self.problem.model_dump(), **row.problem}
        if quick:
            problem |= self.quick.problem
        for key in self.axis.keys:
            table, _, name = key.partition(".")
            _set(problem if table == "problem" else tables[table], name.split("."), value)
        return Point(type(self.problem).model_validate(problem), tables)


def toy_model(problem: type[Problem]) -> type[ToyExperiment[Any]]:
    """Return what a file of a toy with this problem is read as."""
    return ToyExperiment.__class_getitem__(problem)  # type: ignore[return-value]


def _set(table: Table, path: list[str], value: float) -> None:
    """Set a key of a table, of which inner tables are copied."""
    first, *rest = path
    if rest:
        table[first] = dict(table.get(first, {}))
        _set(table[first], rest, value)
    else:
        table[first] = int(value) if float(value).is_integer() else value
