"""Following a page: its files, commands and Python in an empty folder, from top to bottom.

    ```toml, ```python    whose first line is `# NAME`: the text of that file
    ```python             runs, with what the blocks before it left
    ```py                 runs where all that it imports is installed, else it parses
    indented lines        commands; rpucc ones run in this process, with `> FILE`
    ```text               what the block, or command, before it prints or says on standard error;
                          ... stands for anything

Lines that make an environment (pip, python -m venv) are for the reader alone.
"""

from __future__ import annotations

import ast
import contextlib
import doctest
import io
import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from click.testing import CliRunner

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$|((?:^    [^\n]*\n)+)", re.DOTALL | re.MULTILINE)
READERS_OWN = ("pip ", "python -m venv", ". ", "python -m notebook", "sphinx-build ", "git ")
"""How commands begin that a test does not run."""


def blocks(text: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of a page's blocks in their order; commands are of kind "commands"."""
    for kind, body, indented in BLOCK.findall(text):
        yield (kind, body) if kind else ("commands", re.sub("^    ", "", indented, flags=re.M))


def commands(text: str) -> list[str]:
    """The lines of a block of commands; one that ends in a backslash goes on."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def imported(text: str) -> set[str]:
    """The packages that a block of Python imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def file_named(text: str) -> str | None:
    """The file whose text a block is, which its first line names."""
    found = re.match(r"# ([\w./-]+\.\w+)\n", text)
    return found[1] if found else None


def same(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed; ... stands for anything, the ends of lines do not
    count."""
    shown, printed = (
        "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"
        for text in (shown, printed)
    )
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


def follow(page: Path) -> None:
    """Do what a page says, in the folder one is in; AssertionError where it is not so."""
    names: dict[str, object] = {}
    printed = [""]
    for kind, text in blocks(page.read_text(encoding="utf-8")):
        file = file_named(text)
        if file is not None:
            Path(file).write_text(text, encoding="utf-8")
        elif kind == "python" or (kind == "py" and all(map(find_spec, imported(text)))):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(text, page.name, "exec"), names)
            printed = [out.getvalue()]
        elif kind == "py":
            pass  # parsed above
        elif kind == "commands":
            printed = [run(line) for line in commands(text)][-1]
        elif kind == "text":
            wrong = f"{page.name} shows\n{text}\nfor\n{'---'.join(printed)}"
            assert any(same(text, each) for each in printed), wrong
        else:
            raise AssertionError(f"{page.name}: nobody tests a block of {kind!r}:\n{text}")


def run(line: str) -> list[str]:
    """Run a command that rpucc has; return what it says on standard output and error."""
    from rpucc.cli.main import cli

    line, _, target = line.partition(" > ")
    program, *words = shlex.split(line, comments=True)
    if line.startswith(READERS_OWN):
        return [""]
    assert program == "rpucc", f"nobody tests the command {line!r}"
    outcome = CliRunner(env={"COLUMNS": "100"}).invoke(cli, words, prog_name="rpucc")
    assert outcome.exit_code == 0, f"{line}: {outcome.output}"
    if target:
        Path(target.strip()).write_text(outcome.stdout, encoding="utf-8")
    return [outcome.stdout, outcome.stderr]
