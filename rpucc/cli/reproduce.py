"""`rpucc reproduce`: train published experiments again and compare.

Not for the experiments themselves (rpucc.experiments) nor for running them (rpucc.runs).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from rpucc import limits
from rpucc.cli import options
from rpucc.errors import RpuccError, UsageError

if TYPE_CHECKING:
    from rpucc.experiments.load import Experiment
    from rpucc.experiments.schema import PlanExperiment
    from rpucc.experiments.toys import ToyExperiment
    from rpucc.runs.experiment_plan import Version, Wish

OUTPUT = "rpucc-results"


def seeds_of(ctx: click.Context, parameter: click.Parameter, value: str | None) -> Any:
    """Read "3" as three seeds, 0 to 2, and "0,2,5" as those seeds."""
    if value is None:
        return None
    words = [word.strip() for word in value.split(",") if word.strip()]
    if not words or not all(word.isdecimal() and int(word) <= limits.SEED for word in words):
        raise click.BadParameter("needs a number of seeds, or seeds as in 0,1,2", ctx, parameter)
    if "," in value:
        return tuple(dict.fromkeys(map(int, words)))
    if not 1 <= int(words[0]) <= limits.SEEDS:
        what = f"needs 1 to {limits.SEEDS} seeds (one seed alone: 7,)"
        raise click.BadParameter(what, ctx, parameter)
    return tuple(range(int(words[0])))


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--list", "list_", is_flag=True, help="List the experiments.")
@click.option("--quick", is_flag=True, help="A reduced version on built-in data, in minutes.")
@click.option(
    "--seeds",
    callback=seeds_of,
    default=None,
    metavar="N | LIST",
    help="So many seeds, or these, as in 0,1,2.  [default: the experiment's]",
)
@click.option("--rows", default=None, metavar="LIST", help="Train only these rows, as in fp,nmbm.")
@click.option(
    "--jobs",
    type=click.IntRange(1, limits.THREADS),
    default=1,
    show_default=True,
    help="Runs at a time, each in a process (needs joblib).",
)
@click.option(
    "--epochs",
    type=click.IntRange(1, limits.EPOCHS),
    default=None,
    help="Passes over the training data.  [default: the experiment's]",
)
@click.option(
    "--data", default=None, metavar="DATA", help="Other data: a name, an .npz file or a folder."
)
@options.data_dir
@click.option(
    "--runs",
    multiple=True,
    metavar="FOLDER",
    help="Take finished runs from here too: a run folder, or one that holds some; may be repeated.",
)
@options.portable
@options.trust
@click.option("--report", is_flag=True, help="Train nothing: tables and plots of what is there.")
@click.option(
    "-o",
    "--output",
    default=OUTPUT,
    show_default=True,
    metavar="FOLDER",
    help="Where runs, tables and plots go.",
)
@options.as_json
def reproduce(
    names: tuple[str, ...],
    list_: bool,
    quick: bool,
    seeds: tuple[int, ...] | None,
    rows: str | None,
    jobs: int,
    epochs: int | None,
    data: str | None,
    data_dir: str | None,
    runs: tuple[str, ...],
    trust: bool,
    report: bool,
    output: str,
    as_json: bool,
) -> None:
    """Train published experiments again and compare.

    NAME is an experiment (--list) or a TOML file of your own. What is done is skipped, what was
    interrupted goes on: give the same command again.
    """
    from rpucc.runs.experiment_plan import Wish

    if list_:
        _list(as_json)
        return
    if not names:
        raise UsageError("which experiment? rpucc reproduce --list shows them")
    wish = Wish(
        output=Path(output),
        further=tuple(_existing(run) for run in runs),
        quick=quick,
        seeds=seeds,
        epochs=epochs,
        rows=tuple(word.strip() for word in rows.split(",")) if rows is not None else None,
        data=data,
        data_dir=data_dir,
        jobs=jobs,
        trust=trust,
        report=report,
    )
    _reproduce(names, wish, as_json)


def _existing(folder: str) -> Path:
    path = Path(folder)
    if not path.is_dir():
        raise UsageError(f"--runs {folder}: no such folder")
    return path


def _list(as_json: bool) -> None:
    from rpucc.experiments.load import experiment_names, load_experiment

    found = [load_experiment(name) for name in experiment_names()]
    if as_json:
        from rpucc.outputs import print_json

        print_json([{"name": e.name, "title": e.title, "rows": len(e.row)} for e in found])
        return
    from rpucc.report.experiments.tables import experiments_table
    from rpucc.terminal import show

    show(experiments_table(found).rich())


def _reproduce(names: Sequence[str], wish: Wish, as_json: bool) -> None:
    """Reproduce each; what fails does not keep the others from it."""
    from rpucc.experiments.load import load_experiment
    from rpucc.outputs import check_folder, print_json

    experiments = [load_experiment(name) for name in names]
    check_folder(wish.output)
    failures: list[str] = []
    found = [_one(experiment, wish, failures, quiet=as_json) for experiment in experiments]
    if as_json:
        print_json(found)
    if failures:
        raise RpuccError(*failures)


def _one(experiment: Experiment, wish: Wish, failures: list[str], *, quiet: bool) -> dict[str, Any]:
    from rpucc.experiments.schema import PlanExperiment
    from rpucc.experiments.toys import ToyExperiment
    from rpucc.runs.experiment_plan import Version

    if isinstance(experiment, PlanExperiment):
        return _plans(experiment, wish, quiet=quiet)
    if isinstance(experiment, ToyExperiment):
        return _toy(experiment, wish, failures, quiet=quiet)
    version = Version(experiment, wish)
    failures += version.refused
    if not wish.report:
        failures += _train(version)
    return _report(version, quiet=quiet)


def _train(version: Version) -> list[str]:
    """Train what is not done; returns what failed."""
    from rpucc.runs.experiment_plan import known_runs, tasks
    from rpucc.runs.tasks import train_tasks
    from rpucc.terminal import say

    jobs = version.wish.jobs
    if jobs > 1:
        _need_joblib()
    wanted = sum(len(version.seeds(row)) for row in version.rows)
    to_do = tasks(version, known_runs(version.wish))
    say(f"{version.name}: {wanted - len(to_do)} of {wanted} runs are done")
    with repeatable():
        return train_tasks(to_do, jobs)


@contextlib.contextmanager
def repeatable() -> Iterator[None]:
    """After Ctrl-C, or another signal that asks to stop, say how to go on, and exit."""
    try:
        yield
    except KeyboardInterrupt as stop:
        from rpucc.runtime.interrupt import status_of
        from rpucc.terminal import say

        say("interrupted; the same command goes on where this one stopped")
        raise click.exceptions.Exit(status_of(stop)) from None


def _need_joblib() -> None:
    from importlib.util import find_spec

    if find_spec("joblib") is None:
        raise UsageError("--jobs: several at a time need joblib: pip install 'rpucc[jobs]'")


def _report(version: Version, *, quiet: bool) -> dict[str, Any]:
    from rpucc.report.experiments.tables import rows_table
    from rpucc.report.text.tables import heading
    from rpucc.runs.experiment_files import write_outcome
    from rpucc.runs.experiment_plan import collect, known_runs
    from rpucc.terminal import say, show

    outcome = collect(version, known_runs(version.wish, version))
    found = write_outcome(version, outcome)
    if not quiet:
        experiment = version.experiment
        show(heading(experiment.title), "", rows_table(outcome).rich(), "")
        show(f"reported: {experiment.figures} ({experiment.source})")
        say(f"wrote {version.folder}")
    return found


def _plans(experiment: PlanExperiment, wish: Wish, *, quiet: bool) -> dict[str, Any]:
    """Compile the rows and compare; takes seconds, so --report and --quick change nothing."""
    from rpucc.compiler.compile import compile_model
    from rpucc.report.experiments.tables import layers_table, times_table
    from rpucc.report.text.tables import heading
    from rpucc.runs.experiment_files import write_plans
    from rpucc.terminal import say, show

    plans = {
        row.name: compile_model(
            experiment.model, row.target, overrides=row.overrides, training=False, verify=False
        ).plan
        for row in experiment.row
    }
    found = write_plans(wish.output, experiment, plans)
    if not quiet:
        first = plans[experiment.row[0].name]
        show(heading(experiment.title), "", times_table(experiment, plans).rich(), "")
        show(layers_table(experiment, first).rich(), "")
        show(f"reported: {experiment.figures} ({experiment.source})")
        say(f"wrote {wish.output / experiment.name}")
    return found


def _toy(
    toy: ToyExperiment[Any], wish: Wish, failures: list[str], *, quiet: bool
) -> dict[str, Any]:
    """Compute the rows and compare; takes minutes, so nothing of it is kept and gone on with."""
    from rpucc.experiments.toy_outcome import toy_outcome
    from rpucc.report.experiments.toy_page import toy_table
    from rpucc.report.text.tables import heading
    from rpucc.runs.experiment_files import write_toy
    from rpucc.runs.experiment_plan import chosen_rows
    from rpucc.runs.toys.measure import measured
    from rpucc.terminal import say, show

    if wish.report:
        say(f"{toy.name}: a toy is computed anew each time; --report leaves it as it is")
        return {}
    seeds = (wish.seeds or toy.seeds)[: 1 if wish.quick else None]
    found: dict[tuple[str, float], list[float]] = {}
    for row in chosen_rows(toy, wish.rows):
        say(f"{toy.name}: {row.label}")
        try:
            found |= measured(toy, row, seeds, quick=wish.quick)
        except RpuccError as error:
            failures += error.args
    outcome = toy_outcome(toy, found, seeds, quick=wish.quick)
    folder = wish.output / (f"{toy.name}-quick" if wish.quick else toy.name)
    written = write_toy(folder, outcome)
    if not quiet:
        show(heading(toy.title), "", toy_table(outcome).rich(), "")
        show(f"expected: {toy.figures} ({toy.source})")
        say(f"wrote {folder}")
    return written
