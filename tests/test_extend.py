"""docs/extend.md as it is written: its files, changes, commands and tests in a copy of rpucc."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .repository import IN_PACKAGE, ROOT, setuptools

PAGE = ROOT / "docs" / "extend.md"
BLOCK = re.compile(r"```(\w+)\n(.*?)```|^    ((?:rpucc|python) [^\n]*)$", re.DOTALL | re.MULTILINE)
ALSO = {"my_devices.py": "runtime/devices/exponential_step.py"}
"""Files that the page says are the text of another."""


def blocks(*kinds: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of the page's blocks in their order; a command is one of kind "run"."""
    for found in BLOCK.finditer(PAGE.read_text(encoding="utf-8")):
        kind, text = (found[1], found[2]) if found[1] else ("run", found[3])
        if kind in kinds:
            yield kind, text


def named(text: str) -> tuple[str, str]:
    """The file of a block, which its first line names, and the rest."""
    first, _, rest = text.partition("\n")
    assert first.startswith("# "), first
    return first.removeprefix("# "), rest


def changed(text: str, diff: str) -> str:
    """A file's text after a diff without line numbers; its lines are there once."""
    text = f"\n{text}"
    for hunk in diff.split("@@\n"):
        lines = hunk.splitlines()
        before, after = (
            "".join(f"\n{line[1:]}" for line in lines if not line.startswith(gone)) + "\n"
            for gone in "+-"
        )
        found = text.count(before)
        assert found == 1, f"{found} times:{before}"
        text = text.replace(before, after)
    return text[1:]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the repository, importable as `rpucc` from their folder, with the page's.

    What Numba compiled of them comes along: kernels whose sources stay need not be compiled anew.
    """
    place = tmp_path_factory.mktemp("extend") / "rpucc"
    place.mkdir()
    for folder in (*IN_PACKAGE, "tests", "docs"):
        left_out = shutil.ignore_patterns("*.pyc", "*.egg-info", "corpus", "results")
        shutil.copytree(ROOT / folder, place / folder, ignore=left_out)
    shutil.copy(ROOT / "pyproject.toml", place)
    for package, folder in setuptools()["package-dir"].items():
        if "." in package:
            (place / "rpucc" / package.partition(".")[2]).symlink_to(place / folder)
    for kind, text in blocks("python", "diff"):
        name, rest = named(text)
        file = place / name
        if kind == "diff":
            rest = changed(file.read_text(encoding="utf-8"), rest)
        else:
            assert not file.exists(), name
        file.write_text(rest, encoding="utf-8")
    for name, same in ALSO.items():
        shutil.copy(place / same, place / name)
    return place


def run(copy: Path, *words: str) -> str:
    """What a command prints, in the copy."""
    caches = {"RPUCC_CACHE": str(copy.parent / "cache"), "PYTHONPATH": str(copy)}
    environment = {**os.environ, **caches, "PYTHON": sys.executable}
    done = subprocess.run(words, cwd=copy, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    return done.stdout


def test_the_page_runs_as_it_is_written(copy: Path) -> None:
    """Its commands one after the other; those that print what stands below them do."""
    shell = 'python() { "$PYTHON" "$@"; }; rpucc() { python -m rpucc "$@"; }; '
    shown = ""
    for kind, text in blocks("run", "text"):
        if kind == "text":
            assert shown == text
        else:
            shown = run(copy, "sh", "-c", shell + text)
    for page, row in (
        ("policies", "`periphery.gain_error_backward`"),
        ("cells", "`cell.threshold`"),
        ("operators", "| Asinh | | onnxruntime | yes |"),
    ):
        assert row in (copy / "docs" / f"{page}.md").read_text(encoding="utf-8")


def test_its_tests_hold(copy: Path) -> None:
    tests = [name for _, text in blocks("python") if (name := named(text)[0]).startswith("tests/")]
    assert len(tests) == 4
    last = run(copy, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests)
    assert re.search(r"^\d+ passed", last.splitlines()[-1])


def test_a_change_that_does_not_fit_is_seen() -> None:
    assert changed("a\nb\nc\n", " b\n+x\n@@\n-c\n+d\n") == "a\nb\nx\nd\n"
    with pytest.raises(AssertionError):
        changed("a\nb\n", "-c\n+d\n")
