"""Where the files of the repository are: what tests about the repository itself walk over."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
IN_PACKAGE = ("rpucc", "passes", "runtime", "models")
"""Folders of the package `rpucc`: they lie beside each other here (pyproject's package-dir)."""
BESIDE = ("benchmarks", "scripts", "tests")
GENERATED = ("__pycache__", "*.egg-info")


def setuptools() -> dict[str, Any]:
    """The table `[tool.setuptools]`."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    table = tomllib.loads(text)["tool"]["setuptools"]
    assert isinstance(table, dict)
    return table


def package_of(folder: Path) -> str:
    """The dotted name of a folder of the package."""
    parts = folder.relative_to(ROOT).parts
    return ".".join(parts if parts[0] == "rpucc" else ("rpucc", *parts))


def files(*folders: str) -> Iterator[Path]:
    """All files below folders that somebody wrote, sorted."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*")):
            made = any(parent.match(name) for parent in path.parents for name in GENERATED)
            if path.is_file() and not made:
                yield path


@cache
def modules() -> dict[str, Path]:
    """The modules of the package by their dotted names."""
    found = {}
    for path in files(*IN_PACKAGE):
        if path.suffix == ".py":
            package = package_of(path.parent)
            found[package if path.stem == "__init__" else f"{package}.{path.stem}"] = path
    return found
