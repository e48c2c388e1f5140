"""The wording of errors about a target, and of other files that are validated alike.

One line a problem: the file (or preset, or `--set`), the dotted key, what was found, what is
allowed. Not for what is wrong: pydantic says that, with the ranges of `target/values.py`.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rpucc.errors import one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

    from rpucc.target.keys import Tables

Touched = dict[tuple[str | int, ...], str]
"""Path of a value -> the override that set it."""

NEEDED = {
    "name": 'a name in quotes, as in name = "large"',
    "array": "one or more [[array]] tables, each with name, rows, cols and t_read",
    "device": 'a [device] table, as in model = "constant-step"',
    "model": 'a device model\'s name, as in model = "constant-step"',
    "rows": "the array's output lines, as in rows = 4096",
    "cols": "the array's input lines, as in cols = 4096",
    "t_read": "seconds a read, as in t_read = 80e-9",
    "match": 'a glob on layer names, as in match = "conv*"',
}
"""What to write for each key that must be there."""


def describe(error: ValidationError, source: str, tables: Tables, touched: Touched) -> list[str]:
    """Say each of pydantic's errors in one line."""
    lines: dict[tuple[str, str], str] = {}
    for entry in error.errors(include_url=False):
        context = entry.get("ctx", {})
        # The parameters are one level down in the model, not in the file.
        path = entry["loc"]
        path = tuple(p for p in path[:-1] if p != "parameters") + path[-1:]
        if "key" in context:
            path = tuple(int(p) if p.isdecimal() else p for p in context["key"].split("."))
        key = dotted(path)
        setter = _setter(path, touched, exact=entry["type"] != "conflict")
        same = setter is not None and setter.startswith(f"--set {key}=")
        prefix = f"{source}: {key}" if setter is None else setter if same else f"{setter}: {key}"
        lines.setdefault(
            (setter or key, entry["type"]), f"{prefix}: {_problem(entry, path, tables)}"
        )
    return list(lines.values())


def _setter(path: tuple[str | int, ...], touched: Touched, exact: bool) -> str | None:
    """The override that caused an error; for a contradiction, the last one in the same table."""
    if path in touched:
        return touched[path]
    if exact:
        return None
    near = [text for place, text in touched.items() if place[:-1] == path[:-1]]
    return near[-1] if near else next(reversed(touched.values()), None)


def _problem(entry: Mapping[str, Any], path: tuple[str | int, ...], tables: Tables) -> str:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in ("not_allowed", "conflict"):
        text = conflict_text({"found": entry["input"], **context})
        own = tables.keys[table_of(path)] if table_of(path) in tables.open else ()
        near = difflib.get_close_matches(str(path[-1]), own, 1)
        return text + (f"; did you mean {near[0]!r}?" if near and path[-1] not in own else "")
    if kind == "missing":
        return f"missing; allowed: {NEEDED.get(str(path[-1]), 'a value')}"
    if kind == "extra_forbidden":
        return f"unknown key{_unknown(path, tables)}"
    if kind == "tuple_type":
        return f"found {found(entry['input'])}, allowed: [[{path[-1]}]] tables, two brackets each"
    if kind in ("model_type", "dict_type", "model_attributes_type"):
        return f"found {found(entry['input'])}, allowed: a table"
    return f"found {found(entry['input'])}: {one_line(entry['msg'])}"


def conflict_text(context: Mapping[str, Any] | None) -> str:
    """Say what was found and what is allowed, from the context of a validator's error."""
    context = context or {}
    what = "missing;" if context["found"] is None else f"found {found(context['found'])},"
    return f"{what} allowed: {context['allowed']}"


def table_of(path: tuple[str | int, ...]) -> str:
    """Return the dotted name of the table that a path's last step is a key of."""
    return ".".join(step for step in path[:-1] if isinstance(step, str))


def _unknown(path: tuple[str | int, ...], tables: Tables) -> str:
    """Suggest the nearest key of the same table, or the table that has the key."""
    leaf, table = str(path[-1]), table_of(path)
    near = difflib.get_close_matches(leaf, tables.keys[table], 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    homes = [t for t in tables.single if leaf in tables.keys[t]]
    if homes:
        return f" here; it belongs in [{homes[0]}]"
    return f"; allowed: {', '.join(tables.keys[table])}"


def suggest(word: str, known: Sequence[str]) -> str:
    """Guess which known key was meant: the same leaf, else the nearest key, else nearest leaf."""
    same_leaf = [k for k in known if k.rpartition(".")[2] == word.rpartition(".")[2]]
    near = same_leaf[:1] or difflib.get_close_matches(word, known, 1)
    if not near:
        leaves = {k.rpartition(".")[2]: k for k in known}
        close = difflib.get_close_matches(word.rpartition(".")[2], leaves, 1)
        near = [leaves[leaf] for leaf in close]
    return f"; did you mean {near[0]!r}?" if near else ""


def dotted(path: Iterable[str | int]) -> str:
    """Write a path as `--set` takes it; a key that is no bare key is quoted."""
    parts = [str(part) for part in path]
    bare = (p if re.fullmatch(r"[\w-]{1,60}", p) else found(p) for p in parts)
    return ".".join(bare) or "the whole"


def found(value: object) -> str:
    """Show a value as it was written, shortened, in one line."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int) and value.bit_length() > 100:
        return f"an integer of {value.bit_length()} bits"
    if value is None:
        return "null"
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple) and value:
        return f"a list of {len(value)}"
    text = json.dumps(value, ensure_ascii=False) if isinstance(value, str) else str(value)
    return one_line(text if len(text) <= 60 else text[:57] + "...")
