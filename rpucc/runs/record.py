"""What run.json says of a training, in one checked schema: enough to repeat it and to resume it.

Not for where the file lies (folder.py), nor for which of it a resumed training takes over.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, TypeVar

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

from rpucc import __version__, checked, limits
from rpucc.arguments import wrong
from rpucc.checked import Above0, Allowed, AtLeast0, Digest, Object, Positive, Text, Texts, is_plain
from rpucc.compiler.options import RECORDED, CompileOptions
from rpucc.errors import CheckpointError, RpuccError, one_line

Schema = TypeVar("Schema", bound=BaseModel)


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
    """Let the reader of an option check a text, and say what is wrong in its words."""
    try:
        check(text)
    except RpuccError as error:
        raise ValueError(one_line(error)) from None


def _whole(low: int, high: int) -> Allowed:
    return Allowed(f"a whole number from {low} to {high}")


Epochs = Annotated[int, Field(ge=1, le=limits.EPOCHS), _whole(1, limits.EPOCHS)]
Batch = Annotated[int, Field(ge=1, le=limits.BATCH), _whole(1, limits.BATCH)]
Threads = Annotated[int, Field(ge=1, le=limits.THREADS), _whole(1, limits.THREADS)]
Seed = Annotated[int, Field(ge=0, le=limits.SEED), _whole(0, limits.SEED)]
Patience = Annotated[
    int | None, Field(ge=1, le=limits.EPOCHS), Allowed("a whole number of 1 or more, or null")
]
Some = Annotated[Positive | None, Allowed("a whole number of 1 or more, or null")]
MaybeText = Annotated[Text | None, Allowed("a text, or null")]
Validation = Annotated[
    Text | None, AfterValidator(_is_validation), Allowed("a share, a text, or null")
]
Kept = Annotated[Text, AfterValidator(_is_kept), Allowed("last, best or every:N")]
Monitor = Annotated[
    Literal["loss", "error", "train-loss", "train-error"],
    Allowed("loss, error, train-loss or train-error"),
]
Switch = Annotated[bool, Allowed("true or false")]


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
    data_dir: MaybeText
    epochs: Epochs
    batch_size: Batch
    lr: Above0
    lr_schedule: Text = "constant"
    augment: Texts = Field(default_factory=list)
    top_k: Some = None
    seed: Seed
    validation: Validation = None
    patience: Patience = None
    min_delta: AtLeast0 = 0.0
    monitor: Monitor = "loss"
    keep: Kept = "last"
    tensorboard: Switch = False
    threads: Threads
    recalibrate: MaybeText = None
    """The data that statistics of batch norms were measured over before the first step."""
    samples: Some = None
    """Of these, how many."""
    origin: Annotated[Object | None, Allowed("an object, or null")] = None
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
                if isinstance(text, str) and not is_plain(text):
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


class Timings(BaseModel):
    """How long a training took."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    training_seconds: Annotated[AtLeast0 | None, Allowed("a number of 0 or more, or null")] = None


class MachineNote(BaseModel):
    """What a training ran on: what is acted on; the rest is compared and shown as it stands."""

    model_config = ConfigDict(frozen=True, extra="allow")

    portable: Annotated[bool | None, Field(strict=True), Allowed("true, false or null")] = None


class Circumstances(BaseModel):
    """What run.json says beside the arguments, of that what is acted on (about.py).

    Folders of earlier versions lack some of it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    data_digest: Annotated[Digest | None, Allowed("64 hexadecimal digits, or null")] = None
    """The SHA-256 of the data."""
    data_classes: Texts = Field(default_factory=list)
    """The names of the classes that were trained on, by number; empty where they had none."""
    timings: Timings = Timings()
    machine: MachineNote = MachineNote()
    versions: dict[Text, Text] = Field(default_factory=dict)


def read_record(path: Path) -> Record:
    """Return what a run.json says; raises CheckpointError: the key, what was found, what may be."""
    return _read(path, Record)


def read_circumstances(path: Path) -> Circumstances:
    """Return what else a run.json says; raises CheckpointError in the same way."""
    return _read(path, Circumstances)


def _read(path: Path, schema: type[Schema]) -> Schema:
    found = read_json(path)
    try:
        return schema.model_validate(found)
    except ValidationError as error:
        raise CheckpointError(f"{path}: {checked.said(error)}") from None


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a file of JSON, unchecked; raises CheckpointError."""
    try:
        text = checked.read_text(path)
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    try:
        found = checked.parsed(text)
    except ValueError as error:
        raise CheckpointError(f"{path}: is damaged: {error}") from None
    if not isinstance(found, dict):
        raise CheckpointError(f"{path}: is damaged, no JSON object")
    return found
