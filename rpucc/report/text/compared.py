"""Trainings beside each other, for a terminal: what differs, and how each went.

Not for the page: that is report/runs/compare.py.
"""

from __future__ import annotations

from rich.console import RenderableType

from rpucc.report.runs.comparison import HEADINGS, Comparison, results
from rpucc.report.text.tables import heading, new_table

SAME = "no differences in what they record: training, target, versions and data"


def as_tables(comparison: Comparison) -> list[RenderableType]:
    """Return the differences, then the results."""
    names = comparison.names
    found: list[RenderableType] = [heading("differences")]
    differences = comparison.differences
    if differences:
        wide = tuple(range(1, len(names) + 2))
        table = new_table("", "key", *names, folds=wide)
        about = ""
        for each in differences:
            table.add_row(each.about if each.about != about else "", each.key, *each.values)
            about = each.about
        found.append(table)
    else:
        found.append(SAME)
    if comparison.bits is not None:
        found += ["", comparison.bits]
    table = new_table(*HEADINGS, numeric=range(1, len(HEADINGS)))
    for row in results(comparison.runs):
        table.add_row(*row)
    return [*found, "", heading("results"), table]
