"""`rpucc passes`: the compiler's passes in the order in which they run."""

from __future__ import annotations

import click

from rpucc.cli import options


@click.group(invoke_without_command=True)
@options.as_json
@click.pass_context
def passes(ctx: click.Context, as_json: bool) -> None:
    """List the compiler's passes in order.

    See what each does to a model: rpucc compile MODEL --dump-passes FOLDER
    """
    if ctx.invoked_subcommand is None:
        _list(as_json)


@passes.command("list")
@options.as_json
def list_(as_json: bool) -> None:
    """List the passes."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from rpucc.passes import importer
    from rpucc.passes.callbacks import IMPORT
    from rpucc.passes.pipeline import PASSES

    first = (importer.__doc__ or "").splitlines()[0].partition(": ")[2].rstrip(".")
    rows = [(IMPORT, f"{first[:1].upper()}{first[1:]}.", False)]
    rows += [(row.name, row.summary, row.training_only) for row in PASSES]
    if as_json:
        from rpucc.outputs import print_json

        keys = ("name", "summary", "training_only")
        print_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    from rpucc.report.text import catalogues as lists
    from rpucc.terminal import show

    show(lists.passes(rows))
