"""The page of the Python interface: every public name with its signature and docstring."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import rpucc
from rpucc_site.docstrings import docstring
from rpucc_site.docstrings import markdown as as_markdown

KINDS = ("Functions", "Classes", "Errors and warnings")


def markdown() -> str:
    """Return the public names by kind, in the order of the alphabet."""
    parts = []
    for kind in KINDS:
        parts.append(f"## {kind}\n")
        for name in rpucc.__all__:
            found = getattr(rpucc, name)
            if _kind(found) == kind:
                parts.append(
                    _class(name, found) if inspect.isclass(found) else _function(name, found)
                )
    return "\n".join(parts)


def _kind(found: object) -> str:
    if not inspect.isclass(found):
        return KINDS[0]
    return KINDS[2] if issubclass(found, Exception) else KINDS[1]


def _function(name: str, found: Any) -> str:
    return directive("function", f"rpucc.{name}{signature(found)}", docstring(found))


def _class(name: str, found: type) -> str:
    if issubclass(found, Exception):
        bases = ", ".join(base.__name__ for base in found.__bases__)
        return directive("exception", f"rpucc.{name}", f"Bases: {bases}.\n\n{docstring(found)}")
    shown = "" if inspect.isabstract(found) else signature(found)
    body = docstring(found) + "\n" + "\n".join(members(found))
    return directive("class", f"rpucc.{name}{shown}", body, level=4)


def members(cls: type) -> Iterator[str]:
    """Yield the public members of a class that say what they are, those of its bases too."""
    seen = set()
    for owner in cls.__mro__:
        if not owner.__module__.startswith("rpucc"):
            continue
        texts = _below_fields(owner)
        for name, member in vars(owner).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            yield from _member(name, member)
        for name, text in texts.items():
            if name not in seen and not name.startswith("_"):
                seen.add(name)
                yield directive("attribute", name, as_markdown(text))


def _member(name: str, member: Any) -> Iterator[str]:
    if isinstance(member, property | cached_property):
        yield directive("property", name, docstring(member))
    elif isinstance(member, classmethod | staticmethod):
        kind = type(member).__name__
        body = docstring(member.__func__)
        shown = signature(member.__func__, without_first=kind == "classmethod")
        yield directive("method", name + shown, body, option=kind)
    elif inspect.isfunction(member):
        yield directive("method", name + signature(member, without_first=True), docstring(member))


def _below_fields(cls: type) -> dict[str, str]:
    """The strings below the fields of a class: field -> text."""
    if not _has_source(cls):
        return {}
    (tree,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, below in zip(tree.body, tree.body[1:], strict=False):
        named = isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name)
        if named and isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
            found[field.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def _has_source(cls: type) -> bool:
    try:
        return bool(inspect.getsource(cls))
    except (OSError, TypeError):
        return False


class _Shown:
    """An annotation or default as the code writes it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature(found: Any, *, without_first: bool = False) -> str:
    """Return a signature as the code writes it, annotations without quotes."""
    made = inspect.signature(found)
    parameters = [_shown(each) for each in made.parameters.values()]
    returned = made.return_annotation
    return str(
        made.replace(
            parameters=parameters[1:] if without_first else parameters,
            return_annotation=_Shown(returned) if isinstance(returned, str) else returned,
        )
    )


def _shown(parameter: inspect.Parameter) -> inspect.Parameter:
    kind, default = parameter.annotation, parameter.default
    if isinstance(kind, str):
        parameter = parameter.replace(annotation=_Shown(kind))
    if default is not parameter.empty and repr(default).startswith("<"):  # a factory, an object
        parameter = parameter.replace(default=_Shown("..."))
    return parameter


def directive(kind: str, head: str, body: str, *, option: str = "", level: int = 3) -> str:
    """Return an entry of the Python reference."""
    fence = ":" * level
    options = f":{option}:\n" if option else ""
    return f"{fence}{{py:{kind}}} {head}\n{options}\n{body.strip()}\n{fence}\n"
