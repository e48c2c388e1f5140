"""Every option that takes a whole number has a largest one, which the table of the docs names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click

from rpucc import limits
from rpucc.cli.main import COMMANDS, cli

PAGE = Path(__file__).parents[2] / "docs/training.md"


def options(command: click.Command) -> Iterator[tuple[str, int | None]]:
    """Yield each option of whole numbers with its largest, those of subcommands too."""
    if isinstance(command, click.Group):
        for each in command.commands.values():
            yield from options(each)
    for parameter in command.params:
        if isinstance(parameter.type, click.IntRange):
            yield max(parameter.opts, key=len), parameter.type.max  # type: ignore[misc]
        else:
            assert parameter.type is not click.INT, parameter.name


def all_options() -> dict[str, set[int | None]]:
    found: dict[str, set[int | None]] = {}
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        for option, most in options(command):
            found.setdefault(option, set()).add(most)
    return found


def table() -> dict[str, set[int]]:
    """The limits that the page names, by option."""
    text = PAGE.read_text(encoding="utf-8")
    rows = text[text.index("## Limits") : text.index("## Exit codes")].splitlines()
    found: dict[str, set[int]] = {}
    for row in rows:
        for option in re.findall(r"`(--[a-z-]+)`", row):
            found[option] = {int(n.replace(",", "")) for n in re.findall(r"\d[\d,]{2,}", row)}
    return found


def test_every_option_has_the_limit_that_the_page_names() -> None:
    named = table()
    assert named.pop("--seeds") == {limits.SEEDS}
    assert all_options() == named


def test_limits_are_written_once() -> None:
    known = {value for value in vars(limits).values() if isinstance(value, int)}
    assert set().union(*all_options().values()) <= known
