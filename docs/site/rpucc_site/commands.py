"""The page of commands: every command and option, from the commands themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

import click

from rpucc.cli.main import COMMANDS, cli
from rpucc_site.markup import code, plain


def markdown() -> str:
    """Return a section for each command, in the order of `rpucc --help`."""
    root = click.Context(cli, info_name="rpucc", **cli.context_settings)
    parts = ["## rpucc\n", *_body(cli, root)]
    for name in COMMANDS:
        command = cli.get_command(root, name)
        assert command is not None
        parts += _section(command, name, root, "##")
    return "\n".join(parts)


def _section(command: click.Command, name: str, parent: click.Context, level: str) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    yield f"{level} {context.command_path}\n"
    yield from _body(command, context)
    if isinstance(command, click.Group):
        for each in command.list_commands(context):
            inner = command.get_command(context, each)
            assert inner is not None
            yield from _section(inner, each, context, f"{level}#")


def _body(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield code(usage)
    yield help_text(command.help or "")
    yield f":::{{program}} {context.command_path}\n:::\n"
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Argument):
            continue  # the text above is about it
        record = parameter.get_help_record(context)
        if record is not None:
            names, text = record
            yield f":::{{option}} {names.replace(' / ', ', ')}\n{plain(text)}\n:::\n"


def help_text(text: str) -> str:
    r"""Return the text of a command's help; paragraphs after a \b stay in their lines."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text).replace("\f", ""))
    shown = (code(p.partition("\b\n")[2]) if "\b" in p else f"{plain(p)}\n" for p in paragraphs)
    return "\n".join(shown)
