"""Where a target's text comes from: presets, files, dictionaries.

Every error is a TargetError of one line a problem that names the file or preset. Not for what keys
there are (`target.py`), `--set` (`target/overrides.py`) and the wording of errors about them
(`target/messages.py`).
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib import resources
from pathlib import Path
from typing import Any

from rpucc.errors import TargetError, one_line
from rpucc.target.messages import suggest

MAX_BYTES = 1_000_000
"""No target or plan file is this long; anything longer is some other file, given by mistake."""

TARGETS = (
    "a preset's name, the path of a TOML file, a dictionary with the tables of such a file, or a "
    "Target"
)
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
            f"{suggest(Path(spec).stem, preset_names())} (presets: {', '.join(preset_names())})"
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
