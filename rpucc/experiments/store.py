"""The stored results of an experiment: results.json (what was run) and metrics.csv (every epoch).

Both are texts here; together they give the runs back, so that tables and plots can be made again
without the run folders. Not for writing files: that is rpucc.cli.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping
from typing import Any

from rpucc.errors import ExperimentError
from rpucc.experiments.outcome import Metrics, Outcome, RowOutcome, Run
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
        found = json.loads(results_text)
        epochs: dict[tuple[str, int], list[Metrics]] = {}
        for row in csv.DictReader(io.StringIO(metrics_text)):
            key = row["row"], int(row["seed"])
            epochs.setdefault(key, []).append(parsed(row, ("row", "seed")))
        return [
            _run(run, epochs.get((row["name"], int(run["seed"])), []))
            for row in found["rows"]
            for run in row["runs"]
        ]
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise ExperimentError(
            f"{source}: the stored results are damaged ({type(error).__name__}: {error}); remove "
            f"{RESULTS} and {METRICS}, the next run writes them again"
        ) from None


def stored_digest(results_text: str) -> str | None:
    """Return the digest of the data set that stored results come from; None where damaged."""
    try:
        digest = json.loads(results_text)["data"]["digest"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return digest if isinstance(digest, str) else None


def parsed(row: Mapping[str, str | None], leave_out: Iterable[str] = ()) -> Metrics:
    """Return a row of a metrics file as numbers: whole ones stay whole, empty ones are left out.

    Raises ValueError where a number is none, or the epoch or the test error is missing.
    """
    skipped = set(leave_out)
    numbers = {k: _number(v) for k, v in row.items() if k not in skipped and v not in ("", None)}
    if "epoch" not in numbers or "test_error" not in numbers:
        raise ValueError("a line of the metrics lacks its epoch or its test error")
    return numbers


def _number(text: str | None) -> float:
    text = str(text)
    return int(text) if text.lstrip("-").isdecimal() else float(text)


def _run(found: Mapping[str, Any], epochs: list[Metrics]) -> Run:
    if len(epochs) != found["epochs"]:
        raise ValueError(f"{found['epochs']} epochs expected, {len(epochs)} found")
    made = dict(found.get("made_with", {}))
    run = Run(dict(found["configuration"]), int(found["seed"]), tuple(epochs), found["rpucc"], made)
    _ = run.fingerprint  # a configuration with NaN has none
    return run
