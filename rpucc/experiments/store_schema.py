"""What the stored files of an experiment may hold: results.json, metrics.csv, configuration.json.

Not for what is done with them: store.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from rpucc import checked, limits
from rpucc.checked import Above0, Allowed, Number, Object, Positive, Share, Text, wrong
from rpucc.experiments.configuration import Configuration, fingerprint

Seed = Annotated[
    int,
    Field(strict=True, ge=0, le=limits.SEED),
    Allowed(f"a whole number from 0 to {limits.SEED}"),
]


class ConfigurationNote(BaseModel):
    """What determines the numbers of a run (configuration.py): keys that all have.

    A run that is no plain one has others beside them, which name it too.
    """

    model_config = ConfigDict(frozen=True, extra="allow")

    model: Text
    batch_size: Positive
    lr: Above0
    target: Object
    data: Text

    @model_validator(mode="after")
    def _has_a_name(self) -> Self:
        fingerprint(self.model_dump())  # ValueError: a NaN has none
        return self


class RunNote(BaseModel):
    """One training."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    seed: Seed
    rpucc: Text
    epochs: Annotated[int, Field(strict=True, ge=0), Allowed("a whole number of 0 or more")]
    fingerprint: Text
    configuration: ConfigurationNote
    made_with: Object = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_of_its_configuration(self) -> Self:
        name = fingerprint(self.configuration.model_dump())
        if name != self.fingerprint:
            wrong("fingerprint", self.fingerprint, f"{name}, which its configuration has")
        return self


class RowNote(BaseModel):
    """The runs of a row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: Text
    runs: list[RunNote]


class DataNote(BaseModel):
    """The data set."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    digest: Text


class ResultsNote(BaseModel):
    """results.json, of that what is read again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    data: DataNote
    rows: list[RowNote]


class TitleNote(BaseModel):
    """results.json of any experiment, of that what a list of several shows."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    title: Text
    state: Text


class EpochNote(BaseModel):
    """One line of a metrics.csv: its numbers by their headings, of which two are needed."""

    model_config = ConfigDict(frozen=True, extra="allow")
    __pydantic_extra__: dict[str, Number]

    epoch: Positive
    test_error: Share


_CONFIGURATION = TypeAdapter(ConfigurationNote)
_WHOLE = re.compile(r"-?[0-9]{1,18}")


def checked_configuration(text: str) -> Configuration:
    """Return what a configuration.json says; ValueError, one line, for anything else."""
    try:
        return _CONFIGURATION.validate_python(checked.parsed(text)).model_dump()
    except ValidationError as error:
        raise ValueError(checked.said(error)) from None


def checked_epochs(rows: Sequence[Mapping[str, str]]) -> list[dict[str, float]]:
    """Return the lines of one run's metrics as numbers: whole ones stay whole, empty are left out.

    ValueError, one line, where a number is none, or the epochs are not 1, 2, 3 and so on.
    """
    found = []
    for i, row in enumerate(rows, start=1):
        numbers = {key: _number(key, text) for key, text in row.items() if text}
        try:
            note = EpochNote.model_validate(numbers)
        except ValidationError as error:
            raise ValueError(f"epoch {i}: {checked.said(error)}") from None
        if note.epoch != i:
            wrong("epoch", note.epoch, str(i))
        found.append(numbers)
    return found


def _number(key: str, text: str) -> float:
    try:
        return int(text) if _WHOLE.fullmatch(text) else float(text)
    except ValueError:
        wrong(key, text, "a number")
