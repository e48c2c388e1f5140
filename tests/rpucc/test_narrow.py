"""Narrow terminals wrap: not one letter of what is shown at 100 columns is missing at 40."""

from __future__ import annotations

from collections import Counter

import pytest
from click.testing import CliRunner

import rpucc
from rpucc.cli.main import cli

COMMANDS = (
    ["targets"],
    ["models"],
    ["passes"],
    ["cells"],
    ["devices"],
    ["operators"],
    ["check", "lenet"],
    ["inspect", "PROGRAM"],
    ["inspect", "PROGRAM", "--layer", "conv2"],
    ["inspect", "PROGRAM", "--cost"],
    ["diff", "PROGRAM", "OTHER"],
)


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two programs to look at."""
    folder = tmp_path_factory.mktemp("narrow")
    found = {}
    for name, target in (("PROGRAM", "rpu-managed"), ("OTHER", "rpu-managed-um")):
        found[name] = str(folder / f"{name}.onnx")
        rpucc.compile("lenet", target, verify=False).save(found[name])
    return found


def _letters(command: list[str], columns: int, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exception is None or done.exit_code == 0 or command[0] == "diff", done.output
    if columns < 100:
        assert max(map(len, done.stdout.splitlines())) <= columns
    return Counter(c for c in done.stdout if not c.isspace() and c != "─")


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_is_dropped(
    command: list[str],
    columns: int,
    programs: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    command = [programs.get(word, word) for word in command]
    wide, narrow = (_letters(command, each, monkeypatch) for each in (100, columns))
    assert not wide - narrow  # a table in two parts has its first column twice
