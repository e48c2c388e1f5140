"""`rpucc diff`: what differs between two programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rpucc.cli import options
from rpucc.errors import ModelError
from rpucc.files import read_whole, refuse_device


@click.command("diff")
@click.argument("plan_a")
@click.argument("plan_b")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where the plans differ.")
@options.as_json
def diff(plan_a: str, plan_b: str, exit_code: bool, as_json: bool) -> None:
    """Show what differs between two plans.

    Everything that a program carries is compared: totals, settings, and layer by layer its cuts,
    policy, time, energy and initial weights.

    PLAN_A and PLAN_B are programs of rpucc compile -o, run folders, or files of rpucc inspect
    --json or rpucc compile --json. Layers are matched by their names. Exits with 0 also where they
    differ, as a report does.
    """
    from rpucc.report.text.diff import diff as compare

    found = compare(read_described(plan_a), read_described(plan_b))
    if as_json:
        from rpucc.outputs import print_json

        print_json(found.to_dict())
    else:
        from rpucc.report.text.diff_tables import as_tables
        from rpucc.terminal import show

        show(*as_tables(found, (plan_a, plan_b)))
    if exit_code and not found.same:
        raise click.exceptions.Exit(1)


def read_described(name: str) -> dict[str, Any]:
    """Return what a JSON file, a program or a run folder carries as plain data; ModelError."""
    data = _from_json(Path(name))
    if data is not None:
        return data
    from rpucc.cli.source import load_program
    from rpucc.outputs import to_json
    from rpucc.report.text.program import describe

    data = json.loads(to_json(describe(load_program(name))))  # as it would come out of a file
    assert isinstance(data, dict)
    return data


def _from_json(path: Path) -> dict[str, Any] | None:
    """Return what is in a JSON file; None for a file of another kind."""
    from rpucc import limits
    from rpucc.checked import parsed

    try:
        with path.open("rb") as file:
            refuse_device(file)
            if file.read(64).lstrip()[:1] != b"{":
                return None
        content = read_whole(path, limits.JSON_BYTES)
    except OSError:  # for the loader of programs to say
        return None
    try:
        data = parsed(content, _integer)
    except ValueError as error:
        raise ModelError(f"{path}: {error}") from None
    data = data if "plan" in data else {"plan": data}
    problem = _problem(data)
    if problem is not None:
        raise ModelError(
            f"{path}: JSON, but not of a plan ({problem}); write one with rpucc inspect PROGRAM "
            "--json"
        )
    return dict(data)


def _integer(text: str) -> int | float:
    """Return a number of a file; one that no count reaches as a float."""
    return int(text) if len(text) < 19 else float(text)


def _problem(data: dict[str, Any]) -> str | None:
    """Return why data are not what `describe` gives, of this version or an older one; or None."""
    from pydantic import ValidationError

    from rpucc.report.text.diff_schema import Described

    try:
        Described.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return f"{where}: {first['msg']}"
    return None
