"""`rpucc diff`: what differs between two plans."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from rpucc.cli import options
from rpucc.errors import ModelError


@click.command("diff")
@click.argument("plan_a")
@click.argument("plan_b")
@click.option("--exit-code", is_flag=True, help="Exit with 1 where the plans differ.")
@options.as_json
def diff(plan_a: str, plan_b: str, exit_code: bool, as_json: bool) -> None:
    """Show what differs between two plans.

    PLAN_A and PLAN_B are programs of rpucc compile -o, run folders, or files of rpucc inspect
    --json or rpucc compile --json. Layers are matched by their names. Exits with 0 also where they
    differ, as a report does.
    """
    from rpucc.report import diff as report

    found = report.diff(_plan(plan_a), _plan(plan_b))
    if as_json:
        from rpucc.cli.output import print_json

        print_json(found.to_dict())
    else:
        from rpucc.cli.console import show

        show(*report.as_tables(found, (plan_a, plan_b)))
    if exit_code and not found.same:
        raise click.exceptions.Exit(1)


def _plan(name: str) -> dict[str, Any]:
    """Return the plan in a JSON file, a program or a run folder as plain data; ModelError."""
    data = _json_plan(Path(name))
    if data is not None:
        return data
    from rpucc.cli.output import to_json
    from rpucc.cli.source import load_program

    data = json.loads(to_json(load_program(name).plan.to_dict()))  # as it would come out of a file
    assert isinstance(data, dict)
    return data


def _json_plan(path: Path) -> dict[str, Any] | None:
    """Return the plan in a JSON file; None for a file of another kind."""
    try:
        with path.open("rb") as file:
            if file.read(64).lstrip()[:1] != b"{":
                return None
        data = json.loads(path.read_bytes())
    except OSError:  # for the loader of programs to say
        return None
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{path}: no valid JSON: {error}") from None
    plan = data.get("plan", data)
    if not _is_plan(plan):
        raise ModelError(
            f"{path}: JSON, but not of a plan; write one with rpucc inspect PROGRAM --json"
        )
    return dict(plan)


def _is_plan(data: object) -> bool:
    """Tell whether data have what `Plan.to_dict` gives: layers with names, and totals."""
    if not isinstance(data, dict):
        return False
    layers, totals = data.get("layers"), data.get("totals")
    if not isinstance(layers, list) or not isinstance(totals, dict):
        return False
    return all(isinstance(la, dict) and isinstance(la.get("name"), str) for la in layers)
