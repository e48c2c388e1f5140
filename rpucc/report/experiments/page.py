"""The pages of experiments in Markdown: one an experiment, and the one that lists them.

They are generated from results alone, so that they can be made again at any time. Not for tables'
cells: tables.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rpucc.experiments.schema import CONSTANT
from rpucc.report import units
from rpucc.report.experiments.tables import (
    Cells,
    commands,
    escaped,
    layers_table,
    rows_table,
    times_table,
)

if TYPE_CHECKING:
    from rpucc.experiments.outcome import Outcome
    from rpucc.experiments.schema import Described, PlanExperiment
    from rpucc.plan.plan import Plan

PLOT = "error.svg"
GENERATED = "<!-- Written by rpucc reproduce; the next run replaces it. -->"


def training_page(outcome: Outcome, data: str, digest: str) -> str:
    """Return the page of a training experiment. data: what the data are called."""
    experiment, training = outcome.experiment, outcome.training
    lines = [
        *head(experiment),
        rows_table(outcome).markdown(),
        "",
        f"Mean ± standard deviation over {_window(training.average)} and seeds, of the data "
        f"`{data}` (digest `{digest}`). Reported figures: {experiment.figures}"
        f" ({experiment.source}).",
        "" if not outcome.quick else "\nA reduced version: the figures are those of full runs.",
        f"\n![Test error against epochs]({PLOT})\n",
        *_notes(outcome),
        "## Runs",
        "",
        _runs_table(outcome).markdown(),
        "",
        f"{units.counted(training.epochs, 'epoch')}, minibatch {training.batch_size}, learning "
        f"rate {training.lr:g}. Every epoch is in `metrics.csv`, every configuration in "
        "`results.json`; the fingerprint names what determines a run's numbers, but for the seed. "
        "A row alone:",
        "",
        "```",
        _commands(outcome, data),
        "```",
    ]
    return joined(lines)


def plan_page(experiment: PlanExperiment, plans: Mapping[str, Plan]) -> str:
    """Return the page of an experiment without training. plans: row -> its plan."""
    first = experiment.row[0]
    lines = [
        *head(experiment),
        times_table(experiment, plans).markdown(),
        "",
        f"Layers ({first.label}):",
        "",
        layers_table(experiment, plans[first.name]).markdown(),
        "",
        f"Reported figures: {experiment.figures} ({experiment.source}). MACs agree where "
        "they are at most a million apart.",
        *(f"\n![{row.label}: time of each layer]({row.name}.svg)" for row in experiment.row),
        "",
        *(f"* {row.label}: {row.note}" for row in experiment.row if row.note),
        "",
        "```",
        commands(
            "compile",
            experiment.model,
            [(row.label, row.target, row.overrides) for row in experiment.row],
            ["--inference"],
        ),
        "```",
    ]
    return joined(lines)


def head(experiment: Described) -> Iterator[str]:
    """Yield the first lines of an experiment's page."""
    yield f"# {experiment.title}"
    yield ""
    yield GENERATED
    yield ""
    yield experiment.about.strip()
    yield ""


def _notes(outcome: Outcome) -> Iterator[str]:
    noted = [each.row for each in outcome.rows if each.row.note]
    if noted:
        yield from (f"* {row.label}: {row.note.strip()}" for row in noted)
        yield ""


def _runs_table(outcome: Outcome) -> Cells:
    rows = [
        (
            each.row.label,
            str(run.seed),
            f"{len(run.epochs)}",
            f"{each.seed_means[run.seed]:.2f} %" if run.seed in each.seed_means else units.NONE,
            f"`{run.fingerprint}`",
            run.version or units.NONE,
        )
        for each in outcome.rows
        for run in each.runs
    ]
    headers = ("run", "seed", "epochs", "mean", "fingerprint", "rpucc")
    return Cells(headers, tuple(rows), numeric=(1, 2, 3), markup=(4,))


def _commands(outcome: Outcome, data: str) -> str:
    training = outcome.training
    options = ["--data", data, "--epochs", str(training.epochs)]
    options += ["--batch-size", str(training.batch_size), "--lr", f"{training.lr:g}"]
    if training.lr_schedule != CONSTANT:
        options += ["--lr-schedule", training.lr_schedule]
    options += ["--seed", "0"]
    rows = [(each.row.label, each.row.target, each.row.overrides) for each in outcome.rows]
    return commands("train", outcome.experiment.model, rows, options)


def _window(average: tuple[int, int]) -> str:
    first, last = average
    return f"epochs {first} to {last}" if first < last else f"epoch {last}"


# ---------------------------------------------------------------- the list


@dataclass(frozen=True)
class Entry:
    """An experiment in the list."""

    folder: str
    title: str
    state: str
    """How many of its rows were run and show what they have to."""


def index_page(entries: Sequence[Entry], others: Sequence[str]) -> str:
    """Return the page that lists the experiments of a folder, and its other pages."""
    rows = [
        (f"[{escaped(entry.title)}]({entry.folder}/README.md)", entry.state) for entry in entries
    ]
    lines = [
        "# Results",
        "",
        GENERATED,
        "",
        "Published experiments, trained again by `rpucc reproduce NAME`. Each folder has its table "
        "and plot (README.md), the metrics of every epoch (metrics.csv), and the configuration and "
        "seed of every run (results.json).",
        "",
        Cells(("experiment", "state"), tuple(rows), markup=(0,)).markdown(),
        "",
        *([f"Also here: {', '.join(f'[{name}]({name})' for name in others)}."] if others else []),
    ]
    return joined(lines)


def state(outcome: Outcome) -> str:
    """Return how far an experiment is, for the list."""
    run = sum(each.mean is not None for each in outcome.rows)
    judged = [each for each in outcome.rows if each.conditions and each.mean is not None]
    reached = None if outcome.quick or not judged else outcome.reached
    return reach_state(run, len(outcome.rows), reached, len(judged))


def reach_state(run: int, rows: int, reached: int | None, judged: int) -> str:
    """Say how many rows were run, and where they are judged how many reach what they have to.

    >>> reach_state(3, 4, 2, 3)
    '3 of 4 rows run; 2 of 3 reach what they have to'
    """
    text = f"{run} of {units.counted(rows, 'row')} run"
    return text if reached is None else f"{text}; {reached} of {judged} reach what they have to"


def joined(lines: Sequence[str]) -> str:
    """Return the text of a page, without empty lines in a row."""
    text = "\n".join(lines)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text.rstrip("\n") + "\n"
