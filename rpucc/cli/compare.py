"""`rpucc compare`: in what trainings differ, and how each of them went."""

from __future__ import annotations

from pathlib import Path

import click

from rpucc.cli import options
from rpucc.errors import UsageError


@click.command()
@click.argument("runs", nargs=-1, required=True, metavar="RUN RUN…")
@click.option(
    "-o",
    "--output",
    default=None,
    metavar="FILE.html",
    help="Write a page with the curves over each other.",
)
@options.as_json
def compare(runs: tuple[str, ...], output: str | None, as_json: bool) -> None:
    """Show how trainings differ and how each went.

    RUN is a run folder of rpucc train, or a checkpoint in one; two or more. First every setting,
    key of the target and version that they do not have alike, then the results. Nothing is
    trained or read from arrays.
    """
    from rpucc.outputs import check_file, print_json, write_text
    from rpucc.report.runs.compare import page
    from rpucc.report.text.compared import as_tables
    from rpucc.runs.compared import compared
    from rpucc.terminal import say, show

    if len(runs) < 2:
        raise UsageError(
            f"{runs[0]}: one run alone has nothing to differ from; rpucc report shows it"
        )
    if output is not None:
        check_file(Path(output), *runs)
    found = compared(runs)
    if output is not None:
        write_text(Path(output), page(found))
        say(f"wrote {output}")
    if as_json:
        print_json(found.to_dict())
    elif output is None:
        show(*as_tables(found))
