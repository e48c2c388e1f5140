"""A target as TOML: what `Target.from_toml` reads back as the same target.

Only what differs from the defaults is written. Not for comments: `rpucc targets show` prints a
preset as its authors wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rpucc.target.target import Target


def as_toml(target: Target) -> str:
    """Return the text of a TOML file.

    >>> from rpucc.target.target import Target
    >>> target = Target.load("rpu-managed", ["update.bl=1"])
    >>> Target.from_toml(as_toml(target)) == target
    True
    """
    found = target.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    return "\n".join(_table(found, ())).strip() + "\n"


def _table(table: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """Yield a table's own values, then the tables in it, each with its heading."""
    for key, value in table.items():
        if not _is_table(value) and not _are_tables(value) and value is not None:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in table.items():
        place = (*path, key)
        if _is_table(value):
            yield from ("", f"[{_dotted(place)}]", *_table(value, place))
        elif _are_tables(value):
            for each in value:
                yield from ("", f"[[{_dotted(place)}]]", *_table(each, place))


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_table, value))


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(map(_key, path))


def _key(key: str) -> str:
    plain = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if plain else _value(key)


def _value(value: Any) -> str:
    """A value of JSON in TOML, which writes texts, numbers, booleans and lists the same way."""
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, float):
        return repr(value)  # inf and nan, too
    return json.dumps(value).replace("\x7f", "\\u007f")
