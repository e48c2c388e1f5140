"""The page of a toy in Markdown: its table, its plot, and the settings of every row.

Not for means and conditions: rpucc.experiments.toy_outcome.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from rpucc.experiments.toys import TABLES
from rpucc.report import units
from rpucc.report.experiments.page import head, joined, reach_state
from rpucc.report.experiments.tables import Cells, verdict

if TYPE_CHECKING:
    from rpucc.experiments.toy_outcome import ToyOutcome, ToyRowOutcome

PLOT = "values.svg"


def toy_page(outcome: ToyOutcome) -> str:
    """Return the page."""
    toy = outcome.experiment
    lines = [
        *head(toy),
        toy_table(outcome).markdown(),
        "",
        f"{toy.measured}, by {toy.axis.label}: mean"
        + (" ± standard deviation" if len(outcome.seeds) > 1 else "")
        + f" over {units.counted(len(outcome.seeds), 'seed')}; in brackets what is expected. "
        f"Expected figures: {toy.figures} ({toy.source}).",
        "" if not outcome.quick else "\nA reduced version: the figures are those of full runs.",
        f"\n![{toy.measured} by {toy.axis.label}]({PLOT})\n",
        *(f"* {each.row.label}: {each.row.note.strip()}" for each in outcome.run if each.row.note),
        "",
        "## Settings",
        "",
        f"`rpucc reproduce {toy.name}`. The problem, {_settings(toy.problem.model_dump())}, with "
        f"the tables of `rpucc.Array` that `rpucc/experiments/{toy.name}.toml` gives each row:",
        "",
        *_rows(outcome),
        "",
        "Every number is in `values.csv`.",
    ]
    return joined(lines)


def toy_table(outcome: ToyOutcome) -> Cells:
    """Return one line a row: its means beside what is expected and what is to be reached."""
    toy = outcome.experiment
    judged = any(each.conditions for each in outcome.rows)
    values = [f"{toy.axis.label} {value:g}" for value in outcome.values]
    rows = []
    for each in outcome.rows:
        cells = _numbers(each, outcome) if each.measured else ["not run"] * len(values)
        if judged:
            wanted = ", ".join(condition.text for condition in each.conditions)
            cells += [wanted or units.NONE, verdict(each.reached)]
        rows.append((each.row.label, *cells))
    more = ("to reach", "reached") if judged else ()
    numeric = tuple(range(1, len(values) + 1))
    return Cells(("run", *values, *more), tuple(rows), numeric=numeric)


def _numbers(each: ToyRowOutcome, outcome: ToyOutcome) -> list[str]:
    """Write a row's means, each beside the figure expected at its value of the axis."""
    wanted = dict(zip(outcome.experiment.axis.values, each.row.expected, strict=False))
    cells = []
    for value, mean, std in zip(outcome.values, each.means, each.deviations, strict=True):
        spread = f" ± {std:.2g}" if len(outcome.seeds) > 1 else ""
        beside = f" ({_figure(wanted[value])})" if value in wanted else ""
        cells.append(f"{_figure(mean)}{spread}{beside}")
    return cells


def _figure(value: float) -> str:
    """Write a number: whole from a thousand up, else three digits.

    >>> _figure(15300), _figure(0.00123456), _figure(6.6666)
    ('15,300', '0.00123', '6.67')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _rows(outcome: ToyOutcome) -> Iterator[str]:
    toy = outcome.experiment
    shared = {name: getattr(toy.array, name) for name in TABLES}
    if any(shared.values()):
        yield f"* all: {_settings(shared)}"
    for each in outcome.run:
        own = {name: getattr(each.row, name) for name in (*TABLES, "problem")}
        if any(own.values()):
            yield f"* {each.row.label}: {_settings(own)}"


def _settings(tables: Mapping[str, Any]) -> str:
    """Write tables as keys with their values: `device.dw_min = 0.1`, `…`."""
    lines = []
    for name, value in tables.items():
        if isinstance(value, Mapping):
            lines += [f"`{name}.{key} = {json.dumps(inner)}`" for key, inner in value.items()]
        else:
            lines.append(f"`{name} = {json.dumps(value)}`")
    return ", ".join(lines)


def toy_state(outcome: ToyOutcome) -> str:
    """Return how far a toy is, for the list."""
    judged = [each for each in outcome.run if each.conditions]
    reached = None if outcome.quick or not judged else sum(each.reached is True for each in judged)
    return reach_state(len(outcome.run), len(outcome.rows), reached, len(judged))
