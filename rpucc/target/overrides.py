"""The `--set` overrides of a target: which key of which table each means, and setting it.

Works on the plain dictionaries of a parsed file; which tables and keys there are is in `Tables`.
Every error is a TargetError of one line a problem: the `--set`, what was found, what is allowed.
Not for what a value may be: the changed target is validated as a whole.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.errors import TargetError, one_line
from rpucc.target.messages import Touched, suggest, table_of

if TYPE_CHECKING:
    from rpucc.target.keys import Tables

OVERRIDES = "a list of 'key=value' strings, as in ['update.bl=1']"
"""What a Python caller may give as overrides."""

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
            key, value = setting_of(item)
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
    return path[-1] == "model" and table_of(path) in tables.open


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


def setting_of(item: str) -> tuple[str, Any]:
    """Return key and value of "key=value"; what is no value of TOML is a text."""
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
    hint = suggest(key, _dotted(tables, data))
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
