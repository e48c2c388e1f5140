"""What pages of one run and of several show alike: its name, its epochs, values as texts.

Not for one run with all its figures (gather.py), nor for several side by side (compared.py).
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc.report import units
from rpucc.runs.step_log import read_steps
from rpucc.runtime.metrics import EpochMetrics

if TYPE_CHECKING:
    from rpucc.runs.trained import Trained

POINTS = 300
"""Of the loss while epochs ran: means of as many lines of metrics.jsonl as that takes."""
DEEPEST = 6
"""Objects in objects, of run.json, that have rows of their own."""


def folder_name(trained: Trained) -> str:
    """Return what a page calls a run: the name of its folder."""
    return folder_of(trained).resolve().name or str(trained.checkpoint)


def folder_of(trained: Trained) -> Path:
    """Return the run folder, or that of a checkpoint alone."""
    return trained.checkpoint.parent if trained.run is None else trained.run.path


def epoch_metrics(records: list[dict[str, Any]]) -> tuple[EpochMetrics, ...]:
    """Return what a checkpoint's history says of each epoch."""
    return tuple(EpochMetrics.from_record(each) for each in records)


def steps(trained: Trained, metrics: tuple[EpochMetrics, ...]) -> tuple[tuple[float, float], ...]:
    """Return the loss while the epochs of a history ran, in at most POINTS points."""
    if trained.run is None:
        return ()
    samples = {each.epoch: each.samples for each in metrics}
    found = [
        (line.epoch - 1 + line.samples / samples[line.epoch], line.loss)
        for line in read_steps(trained.run.steps)
        if samples.get(line.epoch) and math.isfinite(line.loss)
    ]
    every = -(-len(found) // POINTS)
    groups = (found[i : i + every] for i in range(0, len(found), every or 1))
    return tuple((group[-1][0], statistics.fmean(loss for _, loss in group)) for group in groups)


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the keys of an object and of what is in it, "array.0.rows", with their values."""
    for key, value in values.items():
        if isinstance(value, list) and any(isinstance(each, Mapping) for each in value):
            value = {str(i): each for i, each in enumerate(value)}
        if isinstance(value, Mapping) and value and prefix.count(".") < DEEPEST:
            yield from flattened(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def text_of(value: Any) -> str:
    """Return a value of JSON as a table shows it; texts without quotes, null as a dash."""
    if value is None or value == {}:
        return units.NONE
    if isinstance(value, list | tuple) and all(isinstance(each, str) for each in value):
        return "\n".join(value) or units.NONE
    try:
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    except RecursionError:  # of a file that nobody wrote with rpucc
        return "…"
