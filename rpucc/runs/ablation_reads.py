"""Which effect costs accuracy in reads of weights as they are: an evaluation for each row.

What is measured is kept in the output folder, so that the same command goes on where it stopped.
Not for trainings: ablation.py.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from rpucc import checked
from rpucc.errors import CheckpointError, ModelError
from rpucc.experiments.ablation import Ablation, Figure, RowPlan
from rpucc.experiments.configuration import UNNEEDED, fingerprint, model_name
from rpucc.experiments.schema import Percent
from rpucc.runs.ablation import AblationRows, AblationWish
from rpucc.runs.record import read_json
from rpucc.runs.tasks import digest_of

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.trained import Trained
    from rpucc.runtime.data import Dataset
    from rpucc.target.target import Target

READS = "reads.json"
"""The file of what was measured: fingerprint and seed -> error in percent."""

UNREACHED = 1e6
"""The bound of a BoundedRead that has none: the largest that a target may have."""

MEASURED = TypeAdapter(dict[checked.Text, Percent])
"""Checks that file."""

Measure = Callable[[RowPlan, int], float]
"""Row and seed -> error in percent."""


def evaluate_model(
    rows: AblationRows, data: str, data_dir: str | None, seeds: Sequence[int], output: Path
) -> Ablation:
    """Program a model's weights onto the arrays of each row, and evaluate the test samples.

    The seeds fix the devices and the noise.
    """
    from rpucc.compiler.compile import compile_model
    from rpucc.runs.admission import admit
    from rpucc.runs.data import load_data
    from rpucc.runtime.machine import Machine

    wish = rows.wish

    @lru_cache(maxsize=1)  # the seeds of a row come one after the other
    def compiled(row: RowPlan) -> tuple[Program, Dataset]:
        overrides = (*wish.overrides, *rows.overrides[row.name])
        program = compile_model(wish.model, wish.target, overrides=overrides, verify=False)
        admit(program, wish.target)
        return program, load_data(data, data_dir, program)

    def measure(row: RowPlan, seed: int) -> float:
        program, found = compiled(row)
        return _error(Machine(program, seed), found)

    return _ablation(rows, model_name(wish.model), data, data_dir, seeds, output, measure)


def evaluate_run(
    wish: AblationWish, trained: Trained, data: str, data_dir: str | None, output: Path,
    *, trusted: bool = False,
) -> Ablation:  # fmt: skip
    """Read a run's arrays as they are through the periphery of each row.

    trusted: devices that only the run names may be imported.
    """
    from rpucc.runs.data import load_for
    from rpucc.target.target import Target

    program = trained.load_program()
    if not program.training:
        raise ModelError(f"{trained.program}: was compiled for inference: it has no error")
    found = load_for(trained, data, data_dir, program)
    machine = trained.load_machine(program, trusted=trusted)
    rows = AblationRows(replace(wish, model=wish.target), program.target, program.trust)

    def measure(row: RowPlan, seed: int) -> float:
        stamp_reads(program, Target.load(rows.target, rows.overrides[row.name]))
        return _error(machine, found)

    digest = hashlib.sha256(trained.checkpoint.read_bytes()).hexdigest()[:16]
    try:
        return _ablation(
            rows, f"checkpoint {digest}", data, data_dir, (machine.seed,), output, measure
        )
    finally:
        stamp_reads(program, rows.target)


def stamp_reads(program: Program, target: Target) -> None:
    """Let the reads of a program have the periphery of another target; its graph stays."""
    from rpucc.layers import analog_layers
    from rpucc.stamps import set_attributes, stamp_of

    for layer in analog_layers(program.model):
        policy = target.for_layer(layer.name)
        for node in (*layer.forward, *layer.backward):
            stamp = stamp_of(policy, node)
            if node.op_type == "BoundedRead" and not stamp["bound"]:
                stamp["bound"] = UNREACHED
            set_attributes(node, stamp)


def _error(machine: Any, data: Any) -> float:
    from rpucc.runtime.trainer import Trainer

    found = Trainer(machine).evaluate(data)
    if found.error is None:
        raise ModelError("a regression has no error to compare; ablate is about classifications")
    return 100 * float(found.error)


def _ablation(
    rows: AblationRows, model: str, data: str, data_dir: str | None, seeds: Sequence[int],
    output: Path, measure: Measure,
) -> Ablation:  # fmt: skip
    """Measure what is not known yet, and compare."""
    from rpucc.outputs import make_folder, to_json, write_text
    from rpucc.terminal import say

    known = _known(output / READS)
    digest = digest_of(data, data_dir)
    marks = {row.name: fingerprint(_configuration(rows, row, model, digest)) for row in rows.rows}
    wanted = {f"{marks[r.name]}-seed{s}": (r, s) for r in rows.rows for s in seeds}
    to_do = {key: each for key, each in wanted.items() if key not in known}
    say(f"{len(wanted)} evaluations, of which {len(to_do)} are to be made")
    make_folder(output)
    for key, (row, seed) in to_do.items():
        known[key] = measure(row, seed)
        write_text(output / READS, to_json(known) + "\n")
    errors = {
        row.name: Figure({seed: known[f"{marks[row.name]}-seed{seed}"] for seed in seeds})
        for row in rows.rows
    }
    return rows.ablation(errors, Path(data).name, (0, 0), "reads")


def _configuration(rows: AblationRows, row: RowPlan, model: str, data: str) -> dict[str, Any]:
    from rpucc.target.target import Target

    target = Target.load(rows.target, rows.overrides[row.name])
    dumped = target.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    kept = {key: value for key, value in dumped.items() if key not in UNNEEDED}
    return {"reads": model, "target": kept, "data": data}


def _known(path: Path) -> dict[str, float]:
    """Return what was measured before; raises CheckpointError for a damaged file."""
    found = read_json(path) if path.is_file() else {}
    try:
        return MEASURED.validate_python(found)
    except ValidationError as error:
        raise CheckpointError(f"{path}: is damaged: {checked.said(error)}; remove it") from None
