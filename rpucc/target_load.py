"""Where a target's text comes from, the `--set` overrides, and the wording of its errors.

Works on the plain dictionaries of a parsed TOML file; what each key may be is in `target.py`,
which passes its tables in. Every error is a TargetError of one line a problem: the file (or
preset, or `--set`), the dotted key, what was found, what is allowed.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.errors import TargetError, one_line

if TYPE_CHECKING:
    from pydantic import ValidationError

    from rpucc.target_keys import Tables

Touched = dict[tuple[str | int, ...], str]
"""Path of a value -> the override that set it."""

MAX_BYTES = 1_000_000
"""No target or plan file is this long; anything longer is some other file, given by mistake."""

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


TARGETS = (
    "a preset's name, the path of a TOML file, a dictionary with the tables of such a file, or a "
    "Target"
)
OVERRIDES = "a list of 'key=value' strings, as in ['update.bl=1']"
"""What a Python caller may give."""


def preset_names() -> tuple[str, ...]:
    """Return the names of the targets that ship with rpucc, sorted."""
    folder = resources.files("rpucc.targets")
    files = (entry.name for entry in folder.iterdir())
    return tuple(sorted(name[:-5] for name in files if name.endswith(".toml")))


def list_presets() -> list[tuple[str, str]]:
    """Return (name, description) of each preset, for `rpucc targets` and documentation."""
    return [
        (name, str(tomllib.loads(preset_text(name)).get("description", "")))
        for name in preset_names()
    ]


@lru_cache
def preset_text(name: str) -> str:
    """Return the TOML text of a preset, comments (units and sources) included."""
    return resources.files("rpucc.targets").joinpath(f"{name}.toml").read_text(encoding="utf-8")


def is_preset(spec: str | os.PathLike[str]) -> bool:
    """Tell whether a target is named by its preset; a `Path` is always a file."""
    return isinstance(spec, str) and spec in preset_names()


def plain(value: object) -> object:
    """Return what a Python caller wrote as TOML would hold it: no tuples, no NumPy numbers."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "dtype") and getattr(value, "ndim", None) == 0:
        return value.item()  # type: ignore[attr-defined]
    return value


def read_text(spec: str | os.PathLike[str]) -> tuple[str, str]:
    """Return the text of a preset or a file, and how errors name it. Raises TargetError."""
    if is_preset(spec):
        return preset_text(str(spec)), f"target preset {spec}"
    shown = one_line(spec)
    source = f"target file {shown}"
    if not str(spec).strip():
        raise TargetError(f"target: the name is empty; presets: {', '.join(preset_names())}")
    try:
        return _read_utf8(spec, source), source
    except FileNotFoundError:
        raise TargetError(
            f"target {shown!r}: neither a preset nor a file"
            f"{_suggest(Path(spec).stem, preset_names())} (presets: {', '.join(preset_names())})"
        ) from None


def read_plan_text(path: str | Path) -> tuple[str, str]:
    """Return the text of a plan file, and how errors name it. Raises TargetError."""
    source = f"plan file {one_line(path)}"
    try:
        return _read_utf8(path, source), source
    except FileNotFoundError:
        raise TargetError(
            f"{source}: no such file; rpucc inspect PROGRAM --write-plan FILE makes one"
        ) from None


def _read_utf8(path: str | os.PathLike[str], source: str) -> str:
    """Read a small text file; FileNotFoundError passes, all else becomes a TargetError."""
    try:
        with open(path, "rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise TargetError(f"{source}: is a folder, not a TOML file") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TargetError(f"{source}: cannot be read: {one_line(reason)}") from None
    if len(raw) > MAX_BYTES:
        raise TargetError(f"{source}: longer than 1 MB, which none is; give a TOML file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise TargetError(
            f"{source}: line {line}: byte 0x{raw[error.start]:02x} is not UTF-8; "
            "give a TOML file, which is UTF-8 text"
        ) from None


def parse_toml(
    text: str, source: str, needs: str = "a target needs name, [[array]] and [device]"
) -> dict[str, Any]:
    """Parse TOML text to a dictionary. Raises TargetError with the line of a syntax error."""
    if not text.strip():
        raise TargetError(f"{source}: is empty; {needs}")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise TargetError(f"{source}: no valid TOML: nested too deeply") from None
    except tomllib.TOMLDecodeError as error:
        last = len(text.splitlines())
        found = one_line(error).replace("at end of document", f"at the end, line {last}")
        raise TargetError(f"{source}: no valid TOML: {found}") from None
    except ValueError:  # what Python's int() says of thousands of digits
        raise TargetError(f"{source}: no valid TOML: a number has too many digits") from None


# --- overrides ---------------------------------------------------------------------------------


_RULE = "layer.conv1.update.bl"


def apply_overrides(data: dict[str, Any], overrides: Sequence[str], tables: Tables) -> Touched:
    """Set each `key=value` in `data` (a valid target's dictionary), and return what was set where.

    `array.rows` sets every kind, `array.large.rows` or `array.0.rows` one. `layer.0.update.bl`
    changes the first rule; `layer.conv*.update.bl` the rule with that pattern, or adds one.
    """
    settings: list[tuple[tuple[str | int, ...], Any, str]] = []
    problems: list[str] = []
    for item in arguments.strings("overrides", overrides, OVERRIDES):
        try:
            key, value = _split(item)
            settings += [(path, value, item) for path in _paths(data, item, key, tables)]
        except TargetError as error:
            problems += error.args
    if problems:
        raise TargetError(*problems)
    # A new model drops the other one's parameters: it must come before those given here, and that
    # of a table before those of the tables in it.
    models = {path for path, _, _ in settings if _is_model(path, tables)}
    settings.sort(key=lambda setting: len(setting[0]) if setting[0] in models else math.inf)
    touched: Touched = {}
    for path, value, item in settings:
        node = _node(data, path[:-1])
        if path in models and value != node.get("model", _model_of_all(data, path[:-1])):
            node.clear()
        node[str(path[-1])] = value
        touched.pop(path, None)
        touched[path] = f"--set {one_line(item)}"
    return touched


def _is_model(path: tuple[str | int, ...], tables: Tables) -> bool:
    return path[-1] == "model" and _table(path) in tables.open


def _node(data: dict[str, Any], path: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the table at a path, made where it is not there."""
    node: Any = data
    for step in path:
        node = node.setdefault(step, {}) if isinstance(node, dict) else node[step]
    table: dict[str, Any] = node
    return table


def _model_of_all(data: dict[str, Any], path: tuple[str | int, ...]) -> object:
    """Return the model in the target's own table, which a rule's table without one means."""
    node: Any = data
    for step in path[2:] if path[0] == "layer" else path:
        node = node.get(step, {})
    return node.get("model")


def _split(item: str) -> tuple[str, Any]:
    key, equals, text = item.partition("=")
    key, text = key.strip(), text.strip()
    if not equals or not key or not text:
        raise TargetError(
            f"--set {one_line(item)!r}: allowed: key=value, as in --set periphery.read_noise=0"
        )
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
        return key, text
    return key, parsed["value"] if len(parsed) == 1 else text


def _paths(
    data: dict[str, Any], item: str, key: str, tables: Tables
) -> list[tuple[str | int, ...]]:
    """Resolve a dotted key to the places in `data` that it names. Raises TargetError."""
    first, *rest = key.split(".")
    where = f"--set {one_line(item)}"
    if first in ("name", "description") and not rest:
        return [(first,)]
    if first == "array" and rest and rest[-1] in tables.keys["array"]:
        kinds = _select_arrays(data["array"], ".".join(rest[:-1]), where)
        return [("array", i, rest[-1]) for i in kinds]
    if first == "layer":
        pattern, tail = _pattern_and_tail(rest, tables)
        if tail and pattern:
            return [("layer", _select_rule(data["layer"], pattern, where), *tail)]
    elif first and rest and tables.knows(".".join((first, *rest[:-1])), rest[-1]):
        return [(first, *rest)]
    if key in (*tables.single, *tables.lists):
        keys = tables.keys[key]
        example = _RULE if key == "layer" else f"{key}.{keys[min(1, len(keys) - 1)]}"
        raise TargetError(f"{where}: is a table; set one of its keys, as in {example}")
    if first == "layer":
        raise TargetError(
            f"{where}: unknown key; allowed: layer.<pattern>.analog, layer.<pattern>.match or "
            f"layer.<pattern>.<section>.<key>, as in {_RULE}"
        )
    hint = _suggest(key, _dotted(tables, data))
    known = ", ".join(table for table in tables.keys[""] if table in tables.keys)
    raise TargetError(f"{where}: unknown key {one_line(key)}{hint or f'; the tables are {known}'}")


def _pattern_and_tail(parts: list[str], tables: Tables) -> tuple[str, tuple[str, ...]]:
    """Split `<pattern>.<key of a rule>`; a pattern may hold dots, so it is read backwards."""
    for length in range(len(parts) - 1, 0, -1):
        *table, key = parts[-length:]
        name = ".".join(("layer", *table))
        if tables.knows(name, key):
            return ".".join(parts[:-length]), (*table, key)
    return "", ()


def _select_arrays(kinds: list[dict[str, Any]], selector: str, where: str) -> list[int]:
    names = [kind["name"] for kind in kinds]
    if not selector:
        return list(range(len(kinds)))
    if selector in names:
        return [names.index(selector)]
    if selector.isdecimal() and len(selector) < 6 and int(selector) < len(names):
        return [int(selector)]
    raise TargetError(
        f"{where}: no array {one_line(selector)!r}; "
        f"allowed: {', '.join(names)}, or an index from 0 to {len(names) - 1}"
    )


def _select_rule(rules: Any, pattern: str, where: str) -> int:
    patterns = [rule["match"] for rule in rules]
    if pattern in patterns:
        return len(patterns) - 1 - patterns[::-1].index(pattern)
    if pattern.isdecimal():
        if len(pattern) < 6 and int(pattern) < len(patterns):
            return int(pattern)
        raise TargetError(f"{where}: no layer rule {pattern}; there are {len(patterns)}")
    rules.append({"match": pattern})
    return len(rules) - 1


def _dotted(tables: Tables, data: Mapping[str, Any]) -> list[str]:
    """Every key that `--set` takes, as it is written there (layer rules left out)."""
    names = [*sorted(tables.lists - {"layer"}), *tables.single]
    dotted = [f"{t}.{key}" for t in names for key in tables.keys[t]]
    dotted = ["name", "description", *(key for key in dotted if key not in tables.keys)]
    for table in sorted(tables.open.intersection(tables.single)):
        found = _model_parameters(data, table)
        dotted += [f"{table}.{key}" for key in found if f"{table}.{key}" not in dotted]
    return dotted


def _model_parameters(data: Mapping[str, Any], table: str) -> list[str]:
    node: Any = data
    for step in table.split("."):
        node = node.get(step, {})
    return [key for key, value in node.items() if not isinstance(value, dict)]


# --- wording -----------------------------------------------------------------------------------


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
        own = tables.keys[_table(path)] if _table(path) in tables.open else ()
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


def _table(path: tuple[str | int, ...]) -> str:
    """The dotted name of the table that a path's last step is a key of."""
    return ".".join(step for step in path[:-1] if isinstance(step, str))


def _unknown(path: tuple[str | int, ...], tables: Tables) -> str:
    """Suggest the nearest key of the same table, or the table that has the key."""
    leaf, table = str(path[-1]), _table(path)
    near = difflib.get_close_matches(leaf, tables.keys[table], 1)
    if near:
        return f"; did you mean {near[0]!r}?"
    homes = [t for t in tables.single if leaf in tables.keys[t]]
    if homes:
        return f" here; it belongs in [{homes[0]}]"
    return f"; allowed: {', '.join(tables.keys[table])}"


def _suggest(word: str, known: Sequence[str]) -> str:
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
