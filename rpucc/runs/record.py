"""What run.json says of a training, in one checked schema: enough to repeat it and to resume it.

Not for where the file lies (folder.py), nor for which of it a resumed training takes over.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    InstanceOf,
    ValidationError,
    field_validator,
    model_validator,
)

from rpucc import __version__, limits
from rpucc.arguments import wrong
from rpucc.compiler.options import RECORDED, CompileOptions
from rpucc.errors import CheckpointError, RpuccError, one_line
from rpucc.outputs import to_json

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

SHOWN = 60
"""Characters of a value that a message shows."""


def _is_plain(text: str) -> bool:
    """Whether file names and terminals take a text: it has no zero and no half of a pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def _plain_text(text: str) -> str:
    if not _is_plain(text):
        raise ValueError("a text")
    return text


Text = Annotated[str, AfterValidator(_plain_text), Field(description="a text")]


def _is_validation(text: str | None) -> str | None:
    from rpucc.runtime.validation import parse_validation

    if text is not None:
        _said_by(parse_validation, text)
    return text


def _is_kept(text: str) -> str:
    from rpucc.runtime.keep import parse_keep

    _said_by(parse_keep, text)
    return text


def _said_by(check: Callable[[str], object], text: str) -> None:
    try:
        check(text)
    except RpuccError as error:
        raise ValueError(one_line(error)) from None


Validation = Annotated[
    Text | None, AfterValidator(_is_validation), Field(description="a share, a text, or null")
]
Kept = Annotated[Text, AfterValidator(_is_kept), Field(description="last, best or every:N")]
Monitor = Annotated[
    Literal["loss", "error", "train-loss", "train-error"],
    Field(description="loss, error, train-loss or train-error"),
]


def _whole(low: int, high: int) -> Any:
    """A field of a whole number from `low` to `high`."""
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}")


class Record(BaseModel):
    """The arguments of a training.

    Keys that a later version adds are left out when it is read; those that earlier versions did not
    know are as they were without.
    """

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", allow_inf_nan=False)

    rpucc: Text = __version__
    """The version that started it."""
    model: Text
    target: Text
    compiling: InstanceOf[CompileOptions]
    """Spread over keys of their own in the file."""
    data: Text
    data_dir: Text | None
    epochs: int = _whole(1, limits.EPOCHS)
    batch_size: int = _whole(1, limits.BATCH)
    lr: float = Field(gt=0, description="a number above 0")
    lr_schedule: Text = "constant"
    augment: list[Text] = Field(default_factory=list, description="a list of texts")
    top_k: int | None = Field(default=None, ge=1, description="a whole number from 1, or null")
    seed: int = _whole(0, limits.SEED)
    validation: Validation = None
    patience: int | None = Field(
        default=None, ge=1, le=limits.EPOCHS, description="a whole number of 1 or more, or null"
    )
    min_delta: float = Field(default=0.0, ge=0, description="a number of 0 or more")
    monitor: Monitor = "loss"
    keep: Kept = "last"
    tensorboard: bool = Field(default=False, description="true or false")
    threads: int = _whole(1, limits.THREADS)
    recalibrate: Text | None = Field(default=None, description="a text, or null")
    """The data that statistics of batch norms were measured over before the first step."""
    samples: int | None = Field(
        default=None, ge=1, description="a whole number of 1 or more, or null"
    )
    """Of these, how many."""
    origin: dict[str, Any] | None = Field(default=None, description="an object, or null")
    """Of a training that starts from another: its folder, and what was trained there."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, given: Any) -> Any:
        """Make the options of the compilation from their keys."""
        if not isinstance(given, dict) or "compiling" in given:
            return given
        found = {name: given[name] for name in RECORDED if name in given}
        rest = {name: value for name, value in given.items() if name not in found}
        for name, value in found.items():
            for text in value if isinstance(value, list) else [value]:
                if isinstance(text, str) and not _is_plain(text):
                    raise wrong(name, text, "a text")
        return {**rest, "compiling": CompileOptions(**found)}

    @field_validator("lr_schedule")
    @classmethod
    def _is_schedule(cls, text: str) -> str:
        from rpucc.runtime.learning_rate import parse_schedule

        _said_by(parse_schedule, text)
        return text

    @field_validator("augment")
    @classmethod
    def _are_augmentations(cls, texts: list[str]) -> list[str]:
        from rpucc.runtime.augment import named

        for text in texts:
            try:
                named(text)
            except RpuccError as error:
                raise ValueError(one_line(error)) from None
        return texts

    def values(self) -> dict[str, Any]:
        """The keys and values of the file; tuples are lists there."""
        first = {"rpucc": self.rpucc, "model": self.model, "target": self.target}
        compiled = {name: getattr(self.compiling, name) for name in RECORDED}
        compiled |= {name: str(v) for name, v in compiled.items() if isinstance(v, PurePath)}
        own = (name for name in type(self).model_fields if name != "compiling")
        return first | compiled | {name: getattr(self, name) for name in own}


def read_record(path: Path) -> Record:
    """Return what a run.json says; raises CheckpointError: the key, what was found, what may be."""
    found = read_json(path)
    try:
        return Record.model_validate(found)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {_said(error.errors(include_url=False)[0])}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file of JSON, unchecked; raises CheckpointError."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"{path}: cannot read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: is damaged, no valid JSON") from error
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is damaged, no JSON object")
    return found


def _said(error: ErrorDetails) -> str:
    """One line about the first thing that is wrong."""
    if error["type"] == "value_error" and not error["loc"]:
        return str(error["ctx"]["error"])  # of the compilation's options, which name themselves
    key = str(error["loc"][0])
    if error["type"] == "missing":
        return f"is damaged: {key!r} is missing"
    if error["type"] == "value_error" and key in ("lr_schedule", "augment"):
        return f"{key}: {error['ctx']['error']}"
    allowed = Record.model_fields[key].description or "a text"
    text = " ".join(to_json(error["input"]).split())
    shown = text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
    return f"{key}: found {shown}, allowed: {allowed}"
