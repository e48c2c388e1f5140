"""What docstrings, comments and pages point at is there: files, folders, modules, names, keys."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from rpucc.errors import RpuccError

from .repository import BESIDE, IN_PACKAGE, ROOT, files, modules

FILE = re.compile(r"(?<![\w./-])((?:[\w.-]+/)*[\w-]+\.(?:py\.txt|py|md))(?!\w)")
FOLDER = re.compile(rf"`((?:{'|'.join((*IN_PACKAGE, *BESIDE, 'docs'))})/(?:[\w-]+/)*)`")
NAME = re.compile(r"(?<![\w./\"'-])rpucc((?:\.\w+)+)")

ELSEWHERE = {
    "keras/src/datasets/mnist.py",  # of Keras, which names digests of data sets
    "fashion_mnist.py",
    "my_devices.py",  # what a reader of docs/devices.md writes
}
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "docs" / "reference").glob("*.md")),
]


def prose(source: str) -> Iterator[str]:
    """The docstrings, strings that stand alone, and comments of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield str(node.value.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string


@cache
def literals() -> frozenset[str]:
    """All strings of the package's code: keys of metadata are among them."""
    return frozenset(
        node.value
        for path in modules().values()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def missing_files(text: str, places: list[Path]) -> list[str]:
    """The files and folders that a text names and that none of the places has."""
    named = [*FILE.findall(text), *FOLDER.findall(text)]
    return [
        name
        for name in named
        if name not in ELSEWHERE and not any((place / name).exists() for place in places)
    ]


def is_there(name: str) -> bool:
    """Whether `rpucc.…` is a module, something in one, or a key of the model's metadata."""
    found: object = import_module("rpucc")
    place = "rpucc"
    for part in name.split(".")[1:]:
        if f"{place}.{part}" in modules():
            place = f"{place}.{part}"
            try:
                found = import_module(place)
            except RpuccError:  # an optional package is absent: the source says what is there
                rest = name.removeprefix(f"{place}.")
                text = (ROOT / Path(*place.split("."))).with_suffix(".py").read_text("utf-8")
                return name == place or re.search(rf"^(class|def) {rest}\b", text, re.M) is not None
        elif hasattr(found, part):
            found = getattr(found, part)
        else:
            return name in literals()
    return True


@pytest.mark.parametrize("folder", [*IN_PACKAGE, *BESIDE])
def test_what_source_files_point_at_is_there(folder):
    """Files as seen from the folder or from one above it, pages of docs/ by their names."""
    wrong = {}
    for path in files(folder):
        if path.suffix != ".py":
            continue
        text = "\n".join(prose(path.read_text(encoding="utf-8")))
        above = [place for place in path.parents if place.is_relative_to(ROOT)]
        found = missing_files(text, [*above, ROOT / "docs"])
        if folder in IN_PACKAGE:
            names = {f"rpucc{name}" for name in NAME.findall(text)}
            found += sorted(name for name in names if not is_there(name))
        if found:
            wrong[str(path.relative_to(ROOT))] = found
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_points_at_is_there(page):
    """A page may name a file by the end of its path: the section says of which folder it is.

    A file whose text a block of the page is, below its name, is the reader's to write.
    """
    ends = [f"/{path.relative_to(ROOT)}" for path in files(*IN_PACKAGE, *BESIDE)]
    text = page.read_text(encoding="utf-8")
    ends += [f"/{name}" for name in re.findall(r"^```python\n# (\S+)$", text, re.MULTILINE)]
    named = missing_files(text, [ROOT, ROOT / "docs", page.parent])
    assert [name for name in named if not any(end.endswith(f"/{name}") for end in ends)] == []


def test_the_check_sees_a_wrong_pointer(tmp_path):
    text = '"""See `gone.py`, `here.py` and docs/gone.md."""\nx = 1  # as in `rpucc/gone/`\n'
    (tmp_path / "here.py").write_text(text)
    found = missing_files("\n".join(prose(text)), [tmp_path])
    assert found == ["gone.py", "docs/gone.md", "rpucc/gone/"]
    assert not is_there("rpucc.report.gone")
    assert not is_there("rpucc.gone")
    assert is_there("rpucc.Trainer.fit")
    assert is_there("rpucc.input_range")  # of metadata
