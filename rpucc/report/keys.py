"""Every key of a target: its default, what it may be, what it does; for people and for docs.

Read off the sections: the text of a key is the docstring below its field. The tables of the pages
in docs/ are written from here, each behind a line that names its table (`with_tables`):

    python -m rpucc.report.keys docs/policies.md docs/mapping.md

A table's models may have keys of their own, `<!-- keys of cell tiki-taka -->`. Not for
device models' parameters: those are the models' own (docs/devices.md).
"""

from __future__ import annotations

import ast
import functools
import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from rpucc.cells import CELLS
from rpucc.target.keys import Section, mark, table_of, tables_of
from rpucc.target.target import Target
from rpucc.target.values import Allowed

MARK = "<!-- keys of {table} -->"
"""Stands before a table in a page; it names the table, and the model if the keys are a model's."""

MODELS = {"cell": CELLS}
"""Table -> its models, where those are sections too."""


@dataclass(frozen=True)
class Key:
    """One key of a target."""

    table: str
    """As `--set` names it; "array" and "layer" are there any number of times."""
    name: str
    default: Any
    """As JSON has it; None where it must be given."""
    allowed: str
    choices: tuple[bool | str, ...]
    """All values, where they are few."""
    text: str
    model: str = ""
    """The model that has it; "" for a key of the table itself."""

    @property
    def place(self) -> str:
        """What the mark of its table names: "update", "cell tiki-taka"."""
        return f"{self.table} {self.model}".rstrip()

    @property
    def values(self) -> str:
        """What it may be, its default first."""
        default = "" if self.default is None else _plain(self.default)
        if self.choices:
            return ", ".join(dict.fromkeys([default, *map(_plain, self.choices)]))
        starts_so = self.allowed.removeprefix('"').startswith(default)
        return self.allowed if starts_so else f"{default}; {self.allowed}"


def keys() -> tuple[Key, ...]:
    """Return every key, table by table, in the order of a target's sections.

    A table in another that is of a class before it, `[cell.fast]`, has the keys of that one.
    """
    tables = tables_of(Target)
    first: dict[type[BaseModel], str] = {}
    for name, cls in tables.classes.items():
        if name in (*tables.single, *tables.lists):
            first.setdefault(cls, name)
    found: list[Key] = []
    for cls, name in first.items():
        found += _keys(name, cls)
        for model, settings in MODELS.get(name, {}).items():
            found += _keys(name, settings, model)
    return tuple(found)


def _keys(table: str, cls: type[BaseModel], model: str = "") -> Iterator[Key]:
    texts = _texts(cls)
    names = cls.key_names() if issubclass(cls, Section) else tuple(cls.model_fields)
    for name in names:
        field = cls.model_fields[name]
        if table_of(field) is not None:
            continue
        allowed = mark(field, Allowed)
        assert allowed is not None, f"{table}.{name} has no range"
        text = field.description or texts.get(name, "")
        yield Key(table, name, _default(field), allowed.text, allowed.choices, text, model)


def _default(field: FieldInfo) -> Any:
    if field.is_required():
        return None
    value = field.get_default(call_default_factory=True)
    return list(value) if isinstance(value, tuple) else value


def _plain(value: Any) -> str:
    """A value without the quotes that TOML has around text."""
    return value if isinstance(value, str) else json.dumps(value).removesuffix(".0")


def _texts(cls: type[BaseModel]) -> dict[str, str]:
    """Return the docstrings of a section's fields, those that it inherits too."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if issubclass(base, Section):
            found |= _docstrings(base.__module__).get(base.__name__, {})
    return found


@functools.cache
def _docstrings(module: str) -> dict[str, dict[str, str]]:
    """Return the strings below the fields of a module's classes: class -> field -> text."""
    tree = ast.parse(inspect.getsource(sys.modules[module]))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    return {each.name: dict(_below_fields(each)) for each in classes}


def _below_fields(cls: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, below in zip(cls.body, cls.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            yield field.target.id, " ".join(str(below.value.value).split())


# ---------------------------------------------------------------- pages


def as_markdown(place: str) -> str:
    """Return the keys of a table, or of one of its models ("cell tiki-taka"), as Markdown."""
    rows = [
        f"| `{key.name if key.table == 'layer' else f'{key.table}.{key.name}'}` "
        f"| {_cell(key.values)} | {_cell(key.text)} |"
        for key in keys()
        if key.place == place
    ]
    if not rows:
        raise ValueError(f"a target has no table {place!r}")
    return "\n".join(
        ["| key | values, default first | what it does |", "| --- | --- | --- |", *rows]
    )


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def with_tables(page: str) -> str:
    """Return the text of a page with every table of keys written anew."""
    mark = MARK.replace("{table}", r"(\w+(?: [\w-]+)?)")
    pattern = re.compile(rf"^{mark}\n(?:\|[^\n]*\n)*", re.MULTILINE)
    return pattern.sub(
        lambda found: f"{MARK.format(table=found[1])}\n{as_markdown(found[1])}\n", page
    )


if __name__ == "__main__":
    for place in map(Path, sys.argv[1:]):
        place.write_text(with_tables(place.read_text(encoding="utf-8")), encoding="utf-8")
