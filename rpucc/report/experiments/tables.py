"""The tables of an experiment as cells, which a terminal and a page show alike.

Not for taking means or comparing: rpucc.experiments.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Table

from rpucc.errors import one_line
from rpucc.experiments.toys import ToyExperiment
from rpucc.report import units
from rpucc.report.text.tables import new_table

if TYPE_CHECKING:
    from rpucc.experiments.load import Experiment
    from rpucc.experiments.outcome import Outcome, RowOutcome
    from rpucc.experiments.schema import PlanExperiment
    from rpucc.plan.plan import Plan

MILLION = 1_000_000
"""Sources round multiply-accumulates to millions: so far apart they still agree."""


@dataclass(frozen=True)
class Cells:
    """A table of text."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    numeric: tuple[int, ...] = ()
    """Columns that align right."""
    markup: tuple[int, ...] = ()
    """Columns that are Markdown already."""

    def rich(self) -> Table:
        """Return it for a terminal."""
        table = new_table(*self.headers, numeric=self.numeric, folds=range(len(self.headers)))
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """Return it for a page; what Markdown would read as more than text is escaped."""
        head = [escaped(header) for header in self.headers]
        rules = ["---:" if i in self.numeric else "---" for i in range(len(head))]
        rows = [
            [cell if i in self.markup else escaped(cell) for i, cell in enumerate(row)]
            for row in self.rows
        ]
        return "\n".join(f"| {' | '.join(line)} |" for line in (head, rules, *rows))


def escaped(text: str) -> str:
    """Return text for Markdown, in a cell of a table or elsewhere in a line.

    >>> escaped("fc1 | `rm` <b>")
    'fc1 \\\\| \\\\`rm\\\\` &lt;b>'
    """
    return re.sub(r"([\\`*_\[\]|])", r"\\\1", units.plain(text)).replace("<", "&lt;")


def experiments_table(experiments: Sequence[Experiment]) -> Cells:
    """Return one line an experiment."""
    rows = [(e.name, e.title, _subject(e), str(len(e.row))) for e in experiments]
    return Cells(("experiment", "what it shows", "model", "rows"), tuple(rows), numeric=(3,))


def _subject(experiment: Experiment) -> str:
    """Return what an experiment's rows are about: a network, or a toy's problem."""
    if isinstance(experiment, ToyExperiment):
        return f"toy: {experiment.problem.toy}"
    return experiment.model


# ---------------------------------------------------------------- training


def rows_table(outcome: Outcome) -> Cells:
    """Return one line a row: its mean beside what is reported and what is to be reached."""
    first, last = outcome.training.average
    window = f"epochs {first}–{last}" if first < last else f"epoch {last}"
    judged = any(each.conditions for each in outcome.rows)
    headers = ("run", f"test error, {window}", "seeds", "reported")
    more = ("to reach", "reached") if judged else ()
    rows = [_row(each, outcome.training.epochs, judged) for each in outcome.rows]
    return Cells((*headers, *more), tuple(rows), numeric=(1,))


def _row(each: RowOutcome, epochs: int, judged: bool) -> tuple[str, ...]:
    seeds = ", ".join(str(run.seed) for run in each.finished)
    reported = each.row.reported or units.NONE
    cells = (each.row.label, _error(each, epochs), seeds or units.NONE, reported)
    if not judged:
        return cells
    wanted = ", ".join(condition.text for condition in each.conditions)
    return (*cells, wanted or units.NONE, verdict(each.reached))


def _error(each: RowOutcome, epochs: int) -> str:
    if each.mean is None:
        done = max((len(run.epochs) for run in each.runs), default=0)
        return f"{done} of {epochs} epochs" if done else "not run"
    spread = f" ± {each.deviation:.2f}" if each.deviation is not None else ""
    return f"{each.mean:.2f}{spread} %"


def verdict(reached: bool | None) -> str:
    """Return yes, no, or that it cannot be told."""
    return units.NONE if reached is None else "yes" if reached else "no"


# ---------------------------------------------------------------- plans


def layers_table(experiment: PlanExperiment, plan: Plan) -> Cells:
    """Return one line a layer that the source lists, its numbers beside the plan's."""
    layers = {layer.name: layer for layer in plan.analog_layers}
    rows: list[tuple[str, ...]] = []
    for theirs in experiment.reported_layer:
        ours = layers.get(theirs.name)
        if ours is None:
            rows.append((theirs.name, *[units.NONE] * 6, verdict(False)))
            continue
        same = (ours.R, ours.C, ours.reads_forward) == (theirs.R, theirs.C, theirs.reads)
        same = same and abs(ours.macs - theirs.macs) <= MILLION
        cells = (
            theirs.name,
            units.matrix(ours.R, ours.C),
            units.matrix(theirs.R, theirs.C),
            units.count(ours.reads_forward),
            units.count(theirs.reads),
            units.large(ours.macs),
            f"{theirs.macs / MILLION:g} million",
            verdict(same),
        )
        rows.append(cells)
    headers = ("layer", "array", "reported", "reads", "reported", "MACs", "reported", "agrees")
    return Cells(headers, tuple(rows), numeric=(1, 2, 3, 4, 5, 6))


def times_table(experiment: PlanExperiment, plans: Mapping[str, Plan]) -> Cells:
    """Return one line a row: the pipeline's time per image and its slowest layer."""
    rows = []
    for row in experiment.row:
        plan = plans[row.name]
        found = f"{units.seconds(plan.image_seconds)} ({plan.bottleneck or units.NONE})"
        rows.append((row.label, found, row.reported or units.NONE, _arrays(plan.arrays)))
    headers = ("arrays", "time per image (slowest layer)", "reported", "how many")
    return Cells(headers, tuple(rows))


def _arrays(arrays: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in arrays.items())


def commands(
    command: str,
    model: str,
    rows: Sequence[tuple[str, str, Sequence[str]]],
    options: Sequence[str] = (),
) -> str:
    """Return the commands that run each row on its own. rows: label, target, overrides."""
    import shlex

    lines = []
    for label, target, overrides in rows:
        settings = [word for line in overrides for word in ("--set", line)]
        words = ["rpucc", command, model, "-t", target, *settings, *options]
        lines.append(f"# {one_line(label)}\n{shlex.join(words)}")
    return "\n".join(lines)
