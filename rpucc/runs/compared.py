"""Several run folders side by side: read, never made into machines.

Not for one run with all its figures: that is gather.py.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rpucc import arguments
from rpucc.digests import DIGITS, network_digest, other_weights_digest, weight_digests
from rpucc.report.runs.comparison import ComparedRun, Comparison
from rpucc.report.runs.run_report import History
from rpucc.runs.record import read_json
from rpucc.runs.repeat import repeat_command
from rpucc.runs.same_bits import apart, is_portable
from rpucc.runs.shown import epoch_metrics, flattened, folder_name, steps, text_of
from rpucc.runs.trained import trained_run

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.record import Record

IRRELEVANT = ("rpucc", "threads", "data_dir")
"""Arguments that change no number, or are among the versions."""
CIRCUMSTANCES = ("versions", "commit", "machine", "data_digest", "data_samples")
"""Keys of run.json about what a run was made with."""
HEXADECIMAL = re.compile(r"[0-9a-f]{40,}")
"""Digests, which are told apart by their first digits."""


def compare(*runs: str | os.PathLike[str]) -> Comparison:
    """Return trainings side by side, as `rpucc compare` does: in what they differ, how each went.

    runs: one or more run folders of `rpucc train`, or checkpoints in them. They are read; nothing
        is trained, and no device is made.

    In a notebook it shows itself, and so does each of its `runs`. Raises CheckpointError for what
    is no run, ArgumentError for what is no path.
    """
    if not runs:
        raise arguments.wrong("compare(*runs)", (), "one or more run folders")
    return compared([str(arguments.path(f"runs[{i}]", run)) for i, run in enumerate(runs)])


def compared(names: Sequence[str]) -> Comparison:
    """Return runs as they compare; raises CheckpointError for what is none."""
    found = [_run(name) for name in names]
    counts = Counter(run.history.name for run, _ in found)
    runs = []
    for name, (run, _) in zip(names, found, strict=True):
        history = run.history
        if counts[history.name] > 1:  # folders of one name: as they were given
            history = replace(history, name=os.path.normpath(name))
        runs.append(
            ComparedRun(
                history,
                run.command,
                run.settings,
                run.target,
                run.circumstances,
                run.seconds,
            )
        )
    called = [run.history.name for run in runs]
    return Comparison(tuple(runs), apart(called, [about for _, about in found]))


def _run(name: str) -> tuple[ComparedRun, dict[str, Any]]:
    """Return a run, and all that its run.json says."""
    trained = trained_run(name)
    program = trained.load_program()
    state = trained.read_checkpoint(program)
    has_record = trained.run is not None and trained.run.record.is_file()
    record = trained.run.read_record() if has_record and trained.run is not None else None
    about = read_json(trained.run.record) if has_record and trained.run is not None else {}
    metrics = epoch_metrics(state.history)
    called = folder_name(trained)
    run = ComparedRun(
        History(called, metrics, (), steps(trained, metrics)),
        "" if record is None else repeat_command(record, called, portable=is_portable(about)),
        _settings(record, state.seed),
        _texts(program.target.model_dump(mode="json", by_alias=True, exclude={"description"})),
        _circumstances(program, about),
        None if trained.run is None else trained.run.circumstances().timings.training_seconds,
    )
    return run, about


def _settings(record: Record | None, seed: int) -> dict[str, str]:
    if record is None:
        return {"seed": str(seed)}
    return _texts({k: v for k, v in record.values().items() if k not in IRRELEVANT})


def _circumstances(program: Program, about: Mapping[str, Any]) -> dict[str, str]:
    """Return digests of network, initial weights and data, versions and machine."""
    model = program.model
    weights = {**weight_digests(model), "": other_weights_digest(model)}
    found: dict[str, Any] = {
        "network": network_digest(model),
        "initial weights": hashlib.sha256(json.dumps(weights).encode()).hexdigest()[:DIGITS],
    }
    found |= {key: about[key] for key in CIRCUMSTANCES if key in about}
    return {key: HEXADECIMAL.sub(_shortened, text) for key, text in _texts(found).items()}


def _shortened(found: re.Match[str]) -> str:
    return found[0][:DIGITS]


def _texts(values: Mapping[str, Any]) -> dict[str, str]:
    return {key: text_of(value) for key, value in flattened(values)}
