"""What the tables of a target have in common: their keys, rules that override them, their nodes.

A key is one field of its section: name, type with range, default, docstring, and in its annotation
whether nodes carry it (`OnNode`) and whether the backward cycle may have another value
(`PerCycle`). All else about a key follows from that field: `--set`, files, rules and their errors
(`tables_of`), merging (`Section.overridden`), attributes of nodes (`node_attributes.py`,
`stamps.py`), the check of a program that is read (`program_check/`), and its row in
docs/policies.md. Not for the tables themselves: `target/sections.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    create_model,
    model_serializer,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import PydanticCustomError

from rpucc.target.values import PARAMETER_NAME, SAME, Allowed, Parameter

BACKWARD = "_backward"
"""How the keys of the backward cycle end."""

# ---------------------------------------------------------------- what an annotation may say


@dataclass(frozen=True)
class ActsOn:
    """Marks a key that changes nothing where a layer has no nodes of this op."""

    op: str


@dataclass(frozen=True)
class OnNode(ActsOn):
    """Marks a key that nodes of this op carry as an attribute.

    A BoundedRead carries what a Read does. The attribute's type and range are those of the key.

    >>> from rpucc.target.values import Sigma
    >>> drift: Annotated[Sigma, OnNode("Read")] = 0.0
    """

    name: str = ""
    """The attribute; by default the key's own name."""
    off: int | float | None = None
    """The value of a node without the attribute, and where `where` does not hold; by default the
    key's own default."""
    where: Callable[[Any], object] | None = None
    """Whether the key has an effect, from its section; by default always."""
    values: tuple[bool | str, ...] = ()
    """Of a key that is neither a number nor text: its values, of which the attribute is the place,
    counted from 0."""


@dataclass(frozen=True)
class PerCycle:
    """Marks a key whose value in the backward cycle may be another: its section has both."""


F = TypeVar("F")


def mark(field: FieldInfo, kind: type[F]) -> F | None:
    """Return what the annotation of a key says of this kind; None for nothing."""
    return next((each for each in field.metadata if isinstance(each, kind)), None)


# ---------------------------------------------------------------- sections


class Section(BaseModel):
    """A table of a target file. In a layer rule it overrides only the keys that are set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    is_open: ClassVar[bool] = False
    """Whether it takes keys beside its own, which a model of its checks."""

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """Return its keys as files write them, the names of tables in it too."""
        return tuple(field.alias or key for key, field in cls.model_fields.items())

    def overridden(self, over: Section) -> Self:
        """Return this section with the keys that are set in another one, tables key by key."""
        values: dict[str, Any] = {}
        for key in over.model_fields_set & type(self).model_fields.keys():
            mine, other = getattr(self, key), getattr(over, key)
            values[key] = mine.overridden(other) if isinstance(mine, Section) else other
        return self.model_copy(update=values) if values else self

    def check(self, where: str, kinds: tuple[str, ...]) -> None:
        """Refuse keys that contradict each other, with `conflict`; `where` is its own name.

        kinds: the names of the target's kinds of array.
        """

    @property
    def backward(self) -> Self:
        """The backward cycle's values in the place of the forward cycle's.

        >>> from rpucc.target.target import Periphery
        >>> Periphery(read_noise=0.06, bound=12, read_noise_backward=0).backward.read_noise
        0.0
        """
        fields = type(self).model_fields
        pairs = {key: f"{key}{BACKWARD}" for key in fields if f"{key}{BACKWARD}" in fields}
        if not pairs:
            return self
        own = {key: getattr(self, pair) for key, pair in pairs.items()}
        own = {key: value for key, value in own.items() if value != SAME}
        return self.model_copy(update={**own, **dict.fromkeys(pairs.values(), SAME)})


class ModelSection(Section):
    """A table with a model and that model's own parameters, keys beside `model`.

    A subclass may have tables of its own, which stand beside them.
    """

    is_open: ClassVar[bool] = True

    model: str
    parameters: dict[str, Parameter] = Field(default_factory=dict)
    """What the model takes, by its names; the model itself checks names and ranges."""

    @classmethod
    def key_names(cls) -> tuple[str, ...]:
        """Return `model` and the tables in it; parameters have the model's names."""
        found = super().key_names()
        return tuple(key for key in found if key != "parameters")

    def overridden(self, over: Section) -> Self:
        """Merge, but another model starts from its own defaults."""
        if not isinstance(over, type(self)):
            return super().overridden(over)
        if "model" in over.model_fields_set and over.model != self.model:
            return over
        merged = super().overridden(over)
        parameters = {**self.parameters, **over.parameters}
        return merged.model_copy(update={"parameters": parameters})

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, data: Any) -> Any:
        """Every key beside its own is a parameter."""
        if not isinstance(data, dict):
            return data
        own = cls.key_names()
        given = data.get("parameters", {})  # how Python code writes them; a file has them flat
        if not isinstance(given, dict):
            return {key: data[key] for key in (*own, "parameters") if key in data}
        free = {k: v for k, v in data.items() if k not in own and k != "parameters"}
        free = {**given, **free}
        for key in free:
            if not key.isidentifier() or len(key) > 64:
                raise PydanticCustomError(
                    "not_allowed", "{allowed}", {"allowed": PARAMETER_NAME, "found": key}
                )
        return {**{key: data[key] for key in own if key in data}, "parameters": free}

    @model_serializer(mode="plain")
    def _flat(self) -> dict[str, Any]:
        own = {key: getattr(self, key) for key in self.key_names() if key in self.model_fields_set}
        return {**own, **self.parameters}


def conflict(key: str, found: object, allowed: str) -> PydanticCustomError:
    """An error about `key` that no single value shows."""
    context = {"key": key, "found": found, "allowed": allowed}
    return PydanticCustomError("conflict", "{allowed}", context)


# ---------------------------------------------------------------- two cycles

S = TypeVar("S", bound=Section)


def with_backward(section: type[S]) -> type[S]:
    """Give a section, for each key that is `PerCycle`, one that ends in _backward.

    Its default, "same", takes the forward cycle's value, also where a layer rule has changed that.
    `.backward` of such a section has the backward cycle's values under the forward cycle's names.
    """
    fields: dict[str, Any] = {
        f"{key}{BACKWARD}": (_or_same(field), Field(SAME, description=_of_backward(key)))
        for key, field in section.model_fields.items()
        if mark(field, PerCycle) is not None
    }
    return create_model(
        section.__name__,
        __base__=section,
        __module__=section.__module__,
        __doc__=section.__doc__,
        **fields,
    )


def _or_same(field: FieldInfo) -> Any:
    allowed = mark(field, Allowed)
    assert allowed is not None, "a key without a range"
    same = Allowed(
        f'{allowed.text}, or "{SAME}" (as forward)', lambda v: v == SAME or allowed.test(v)
    )
    return Annotated[field.annotation | str, same]


def _of_backward(key: str) -> str:
    return f"As `{key}`, in the backward cycle."


# ---------------------------------------------------------------- tables


@dataclass(frozen=True)
class Tables:
    """Which tables a file may have, and their keys; what errors and `--set` go by."""

    classes: dict[str, type[BaseModel]]
    """Dotted name of a table, "" for the top -> its class. "layer.update" is that of a rule."""
    keys: dict[str, tuple[str, ...]]
    """The same -> its keys."""
    open: frozenset[str]
    """Tables that take other keys too, their model's."""
    lists: frozenset[str]
    """Tables that are there any number of times ([[array]])."""

    def knows(self, table: str, key: str) -> bool:
        """Whether a table may have this key, as a value."""
        if table not in self.keys or f"{table}.{key}" in self.keys:
            return False
        return key in self.keys[table] or (table in self.open and key.isidentifier())

    @property
    def single(self) -> tuple[str, ...]:
        """The tables that are there once."""
        return tuple(t for t in self.keys if t and t.partition(".")[0] not in self.lists)


def table_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the class of the table, or list of tables, that a field holds; None for a value."""
    return _class_in(field.annotation)


def _class_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_class_in, get_args(annotation))), None)


def tables_of(model: type[BaseModel]) -> Tables:
    """Return the tables of a file that is read as this model."""
    found = list(_tables(model, ""))
    return Tables(
        {name: cls for name, cls, _ in found},
        {name: _keys(cls) for name, cls, _ in found},
        frozenset(name for name, cls, _ in found if issubclass(cls, Section) and cls.is_open),
        frozenset(name for name, _, several in found if several),
    )


def _keys(model: type[BaseModel]) -> tuple[str, ...]:
    if issubclass(model, Section):
        return model.key_names()
    return tuple(field.alias or key for key, field in model.model_fields.items())


def _tables(
    model: type[BaseModel], name: str, several: bool = False
) -> Iterator[tuple[str, type[BaseModel], bool]]:
    yield name, model, several
    for key, field in model.model_fields.items():
        inner = table_of(field)
        if inner is not None:
            dotted = f"{name}.{field.alias or key}".lstrip(".")
            yield from _tables(inner, dotted, get_origin(field.annotation) is tuple)
