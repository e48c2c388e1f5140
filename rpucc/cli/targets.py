"""`rpucc targets`: the presets, and what one target holds."""

from __future__ import annotations

import click

from rpucc.cli import options


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def targets(ctx: click.Context, as_json: bool) -> None:
    """List the targets, or show one.

    A target says which arrays, converters, devices and policies a model is compiled for. Any
    command takes a preset's name or your own TOML file: rpucc targets show rpu-managed > my.toml
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@targets.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the presets."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from rpucc.target.load import list_presets

    rows = list_presets()
    if as_json:
        from rpucc.outputs import print_json

        print_json([{"name": name, "description": text} for name, text in rows])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    show(lists.targets(rows))


@targets.command()
@click.argument("table", required=False)
@options.as_json
def keys(table: str | None, as_json: bool) -> None:
    """List the keys of a target, or of one TABLE of it, with what each may be and does.

    Set them in a target's file, for some layers in a [[layer]] rule, or by --set TABLE.KEY=VALUE.
    """
    import difflib
    from dataclasses import asdict

    from rpucc.errors import UsageError, one_line
    from rpucc.report import keys as report

    found = report.keys()
    tables = list(dict.fromkeys(key.table for key in found))
    if table is not None and table not in tables:
        near = difflib.get_close_matches(table, tables, 1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(
            f"a target has no table {one_line(table)!r}; {hint}it has {', '.join(tables)}"
        )
    found = tuple(key for key in found if table in (None, key.table))
    if as_json:
        from rpucc.outputs import print_json

        print_json([asdict(key) for key in found])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    names = (f"{key.table}.{key.name}" + (f" of {key.model}" if key.model else "") for key in found)
    show(lists.keys((n, key.values, key.text) for n, key in zip(names, found, strict=True)))


@targets.command()
@click.argument("name")
@options.as_json
def show(name: str, as_json: bool) -> None:
    """Print a preset's TOML text (or check and print your own file).

    A file is printed where all is in order, but for devices that are code (module:Class).
    """
    from rpucc.errors import TargetError
    from rpucc.runtime.devices import device_problems
    from rpucc.target.load import read_text
    from rpucc.target.target import Target

    target = Target.load(name)
    problems = device_problems(target)
    if problems:
        raise TargetError(*(f"{read_text(name)[1]}: {problem}" for problem in problems))
    click.echo(target.to_json() if as_json else read_text(name)[0].rstrip("\n"))
