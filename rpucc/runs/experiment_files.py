"""What `rpucc reproduce` leaves in its folder: results, metrics, plot and page of each experiment.

Not for what is in them: rpucc.experiments.store and rpucc.report.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.outputs import make_folder, to_json, write_text

if TYPE_CHECKING:
    from rpucc.experiments.outcome import Outcome
    from rpucc.experiments.schema import PlanExperiment
    from rpucc.experiments.toy_outcome import ToyOutcome
    from rpucc.plan.plan import Plan
    from rpucc.runs.experiment_plan import Version

PAGE = "README.md"


def write_outcome(version: Version, outcome: Outcome) -> dict[str, Any]:
    """Write the files of a training experiment; returns what its results.json holds."""
    from rpucc.experiments.store import METRICS, RESULTS, metrics_csv, results
    from rpucc.report.experiments.page import PLOT, state, training_page
    from rpucc.report.experiments.plot import error_drawing

    data = Path(version.training.data).name  # no path of this machine in what others read
    found = results(outcome, data, version.digest)
    found = {"title": outcome.experiment.title, "state": state(outcome), **found}
    make_folder(version.folder)
    files = {
        METRICS: metrics_csv(outcome),
        RESULTS: to_json(found) + "\n",
        PLOT: error_drawing(outcome).file(),
        PAGE: training_page(outcome, data, version.digest),
    }
    for name, text in files.items():
        write_text(version.folder / name, text)
    write_index(version.wish.output)
    return found


def write_plans(
    output: Path, experiment: PlanExperiment, plans: Mapping[str, Plan]
) -> dict[str, Any]:
    """Write the files of an experiment without training; returns what its results.json holds."""
    from rpucc.experiments.store import RESULTS
    from rpucc.report.drawings.latency import cycle_styles, latency_drawing
    from rpucc.report.experiments.page import plan_page

    folder = output / experiment.name
    make_folder(folder)
    found = {
        "title": experiment.title,
        "state": f"{len(plans)} plans",
        "experiment": experiment.name,
        "figures": experiment.figures,
        "rows": [{"name": name, "plan": plan.to_dict()} for name, plan in plans.items()],
    }
    for name, plan in plans.items():
        write_text(folder / f"{name}.svg", latency_drawing(plan).file(cycle_styles(plan)))
    write_text(folder / RESULTS, to_json(found) + "\n")
    write_text(folder / PAGE, plan_page(experiment, plans))
    write_index(output)
    return found


def write_toy(folder: Path, outcome: ToyOutcome) -> dict[str, Any]:
    """Write the files of a toy; returns what its results.json holds."""
    from rpucc.experiments.store import RESULTS
    from rpucc.experiments.toy_outcome import toy_results, values_csv
    from rpucc.report.experiments.toy_page import PLOT, toy_page, toy_state
    from rpucc.report.experiments.toy_plot import toy_drawing

    make_folder(folder)
    found = {
        "title": outcome.experiment.title, "state": toy_state(outcome), **toy_results(outcome),
    }  # fmt: skip
    write_text(folder / "values.csv", values_csv(outcome))
    write_text(folder / PLOT, toy_drawing(outcome).file())
    write_text(folder / RESULTS, to_json(found) + "\n")
    write_text(folder / PAGE, toy_page(outcome))
    write_index(folder.parent)
    return found


def write_index(output: Path) -> None:
    """Write the page that lists the experiments in a folder."""
    from rpucc.checked import read_text
    from rpucc.experiments.store import RESULTS, stored_title
    from rpucc.report.experiments.page import Entry, index_page

    entries = []
    for path in sorted(output.glob(f"*/{RESULTS}")):
        try:
            found = stored_title(read_text(path))
        except ValueError:
            continue  # not ours, or damaged: its own command says so
        entries.append(Entry(path.parent.name, found.title, found.state))
    others = sorted(page.name for page in output.glob("*.md") if page.name != PAGE)
    write_text(output / PAGE, index_page(entries, others))
