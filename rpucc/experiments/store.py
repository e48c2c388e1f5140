"""The stored results of an experiment: results.json (what was run) and metrics.csv (every epoch).

Both are texts here; together they give the runs back, so that tables and plots can be made again
without the run folders. Not for writing files: that is rpucc.cli.
"""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from rpucc.checked import parsed, said, table_rows
from rpucc.errors import ExperimentError, one_line
from rpucc.experiments.outcome import Outcome, RowOutcome, Run
from rpucc.experiments.store_schema import ResultsNote, TitleNote, checked_epochs
from rpucc.report.csv import table_csv

RESULTS, METRICS = "results.json", "metrics.csv"
KEY = ("row", "seed", "epoch")


def results(outcome: Outcome, data: str, digest: str) -> dict[str, Any]:
    """Return what results.json holds. data, digest: name and digest of the data set."""
    training = outcome.training
    return {
        "experiment": outcome.experiment.name,
        "quick": outcome.quick,
        "figures": outcome.experiment.figures,
        "data": {"name": data, "digest": digest},
        "epochs": training.epochs,
        "average": list(training.average),
        "rows": [_row(each) for each in outcome.rows],
    }


def _row(each: RowOutcome) -> dict[str, Any]:
    return {
        "name": each.row.name,
        "label": each.row.label,
        "target": each.row.target,
        "set": list(each.row.overrides),
        "reported": each.row.reported,
        "mean_percent": each.mean,
        "deviation_percent": each.deviation,
        "seed_means_percent": {str(seed): mean for seed, mean in each.seed_means.items()},
        "conditions": [{"text": c.text, "met": c.met} for c in each.conditions],
        "reached": each.reached,
        "runs": [
            {
                "seed": run.seed,
                "rpucc": run.version,
                "epochs": len(run.epochs),
                "fingerprint": run.fingerprint,
                "configuration": run.configuration,
                **({"made_with": dict(run.made_with)} if run.made_with else {}),
            }
            for run in each.runs
        ],
    }


def metrics_csv(outcome: Outcome) -> str:
    """Return the metrics of every epoch of every run, with the row and the seed in front."""
    rows = [
        {"row": each.row.name, "seed": run.seed, **metrics}
        for each in outcome.rows
        for run in each.runs
        for metrics in run.epochs
    ]
    headings = list(dict.fromkeys([*KEY, *(key for row in rows for key in row)]))
    return table_csv(headings, ([row.get(key, "") for key in headings] for row in rows))


def stored_runs(results_text: str, metrics_text: str, source: str) -> list[Run]:
    """Return the runs of a results.json and its metrics.csv.

    Raises ExperimentError, naming `source`, where they are damaged or do not belong together.
    """
    try:
        return _runs(results_text, metrics_text)
    except ValueError as error:
        raise ExperimentError(
            f"{source}: the stored results are damaged ({error}); remove {RESULTS} and {METRICS}, "
            "the next run writes them again"
        ) from None


def _runs(results_text: str, metrics_text: str) -> list[Run]:
    found = _results(results_text)
    epochs: dict[tuple[str, str], list[dict[str, str]]] = {}
    try:
        for row in table_rows(metrics_text):
            key = row.pop("row", ""), row.pop("seed", "")
            epochs.setdefault(key, []).append(row)
    except ValueError as error:
        raise ValueError(f"{METRICS}: {error}") from None
    runs = []
    for each in found.rows:
        for run in each.runs:
            where = f"{METRICS}: row {one_line(each.name)!r}, seed {run.seed}"
            try:
                lines = checked_epochs(epochs.get((each.name, str(run.seed)), []))
            except ValueError as error:
                raise ValueError(f"{where}: {error}") from None
            if len(lines) != run.epochs:
                raise ValueError(f"{where}: {run.epochs} epochs expected, {len(lines)} found")
            configuration = run.configuration.model_dump()
            runs.append(Run(configuration, run.seed, tuple(lines), run.rpucc, run.made_with))
    return runs


def _results(text: str) -> ResultsNote:
    try:
        return ResultsNote.model_validate(parsed(text))
    except ValidationError as error:
        raise ValueError(f"{RESULTS}: {said(error)}") from None
    except ValueError as error:
        raise ValueError(f"{RESULTS}: {error}") from None


def stored_digest(results_text: str) -> str | None:
    """Return the digest of the data set that stored results come from; None where damaged."""
    try:
        return _results(results_text).data.digest
    except ValueError:
        return None


def stored_title(results_text: str) -> TitleNote:
    """Return what a list of experiments shows of one; ValueError where damaged."""
    return TitleNote.model_validate(parsed(results_text))
