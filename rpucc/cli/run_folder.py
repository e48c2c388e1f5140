"""A run folder: what one training leaves behind, and how commands find it again.

program.onnx (what was trained, with the weights as they were before), run.json (the arguments),
metrics.csv (one row an epoch, the same bytes for the same seed), calibration.csv (one row a
zero-shifted layer), checkpoint.safetensors (the state after the last epoch, or where it was
interrupted). Not for the contents of a checkpoint: that is rpucc.runtime.checkpoint_file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import run_files
from rpucc.cli.output import to_json, write_text
from rpucc.errors import CheckpointError, OutputError
from rpucc.files import remove_rests
from rpucc.report.csv import table_csv

if TYPE_CHECKING:
    from rpucc.program import Program


@dataclass(frozen=True)
class RunFolder:
    """The files of one training."""

    path: Path

    @property
    def program(self) -> Path:
        """The compiled program, with the weights as they were before training."""
        return self.path / run_files.PROGRAM

    @property
    def checkpoint(self) -> Path:
        """The state of the arrays."""
        return self.path / run_files.CHECKPOINT

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def calibration(self) -> Path:
        """One row a zero-shifted layer; there is none where no layer was."""
        return self.path / "calibration.csv"

    @property
    def record(self) -> Path:
        """The arguments of the training."""
        return self.path / "run.json"

    def exists(self) -> bool:
        """Tell whether this is a run folder."""
        isfile = os.path.isfile  # False, too, for names too long for the system
        return isfile(self.record) or (os.path.isdir(self.path) and isfile(self.program))

    def arguments(self) -> dict[str, Any]:
        """Return what run.json holds; raises CheckpointError."""
        try:
            data = json.loads(self.record.read_text(encoding="utf-8"))
        except OSError as error:
            raise CheckpointError(f"{self.record}: cannot read: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise CheckpointError(f"{self.record}: is damaged, no valid JSON") from error
        if not isinstance(data, dict):
            raise CheckpointError(f"{self.record}: is damaged, no JSON object")
        return data

    def write_program(self, program: Program) -> None:
        """Write program.onnx, which says that its weights are those before training."""
        program.model.metadata_props[run_files.BEFORE_TRAINING] = (
            "as they were before training; the trained ones are in the run folder's "
            f"{self.checkpoint.name}"
        )
        program.save(self.program)

    def write_arguments(self, arguments: Mapping[str, Any]) -> None:
        """Write run.json."""
        write_text(self.record, to_json(dict(arguments)) + "\n")

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write metrics.csv: the reproducible metrics of all epochs."""
        write_text(self.metrics, _as_csv(history))

    def write_calibration(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write calibration.csv: what zero-shifting found and left in each layer."""
        if rows:
            write_text(self.calibration, _as_csv(rows))

    def refuse_overwriting(self) -> None:
        """Raise OutputError where training would replace what someone may want to keep."""
        if self.checkpoint.exists():
            raise OutputError(
                f"{self.path}: holds a checkpoint already; --resume continues it, --force starts "
                "over, -o names another folder"
            )
        ours = (self.program, self.metrics, self.calibration, self.record)
        foreign = [] if self.record.exists() else [path for path in ours if path.exists()]
        if foreign:
            raise OutputError(
                f"{self.path}: is no run folder, but holds a {foreign[0].name}; -o names another "
                "folder, --force replaces the file"
            )

    def tidy(self) -> None:
        """Remove what killed writers left here; what a living one has stays."""
        remove_rests(self.path)

    def clear(self) -> None:
        """Remove what an earlier training left."""
        ours = (self.metrics, self.calibration, self.record, self.program)
        try:
            for path in (self.checkpoint, *ours):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot remove: {error.strerror}") from error


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same keys as CSV; nothing for none."""
    headings = list(rows[0]) if rows else []
    return table_csv(headings, ([row[key] for key in headings] for row in rows)) if rows else ""
