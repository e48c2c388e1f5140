"""A run folder: what one training leaves behind, and how commands find it again.

docs/training.md lists the files. Of one seed, metrics.csv, calibration.csv, metrics.jsonl,
layers.jsonl and the checkpoints have the same bytes again; run.json and events.jsonl hold times.
Not for the contents of a checkpoint: that is rpucc.runtime.checkpoint_file.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rpucc import run_files
from rpucc.errors import OutputError
from rpucc.files import locked_folder, remove_rests
from rpucc.outputs import check_folder, make_folder, to_json, write_text
from rpucc.report.csv import records_csv
from rpucc.target.write import as_toml

if TYPE_CHECKING:
    from rpucc.program import Program
    from rpucc.runs.record import Circumstances, Record

EVENTS = "events.out.tfevents.*"
"""TensorBoard's files, in `RunFolder.curves`."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one training."""

    path: Path

    @property
    def program(self) -> Path:
        """The compiled program, with the weights as they were before training."""
        return run_files.program_in(self.path)

    @property
    def target(self) -> Path:
        """The target with its overrides, as TOML."""
        return self.path / "target.toml"

    @property
    def checkpoint(self) -> Path:
        """The state of the arrays."""
        return self.path / run_files.CHECKPOINT

    @property
    def kept(self) -> list[Path]:
        """The checkpoints that stay beside it: the best, and those of some epochs."""
        return run_files.kept_beside(self.checkpoint)

    @property
    def curves(self) -> Path:
        """A folder for TensorBoard, where it was asked for."""
        return self.path / "tensorboard"

    @property
    def metrics(self) -> Path:
        """One row an epoch."""
        return self.path / "metrics.csv"

    @property
    def steps(self) -> Path:
        """One line every so many steps."""
        return self.path / "metrics.jsonl"

    @property
    def layers(self) -> Path:
        """One line an epoch: what it did to each layer, and where its weights lay."""
        return self.path / "layers.jsonl"

    @property
    def events(self) -> Path:
        """One line for whatever happened to the training."""
        return self.path / "events.jsonl"

    @property
    def calibration(self) -> Path:
        """One row a zero-shifted layer; there is none where no layer was."""
        return self.path / "calibration.csv"

    @property
    def record(self) -> Path:
        """The arguments of the training, and what it was made with."""
        return self.path / "run.json"

    @property
    def written_once(self) -> tuple[Path, ...]:
        """Texts that are written before training begins, and stay as they are while it runs."""
        return (self.target, self.record, self.calibration, self.path / run_files.CONFIGURATION)

    def exists(self) -> bool:
        """Tell whether this is a run folder."""
        isfile = os.path.isfile  # False, too, for names too long for the system
        return isfile(self.record) or (os.path.isdir(self.path) and isfile(self.program))

    def read_record(self) -> Record:
        """Return what run.json says of the training; raises CheckpointError."""
        from rpucc.runs.record import read_record

        return read_record(self.record)

    def write_program(self, program: Program) -> None:
        """Write the program, which says that its weights are those before training, and target."""
        program.model.metadata_props[run_files.BEFORE_TRAINING] = (
            "as they were before training; the trained ones are in the run folder's "
            f"{self.checkpoint.name}"
        )
        program.save(self.program)
        write_text(self.target, as_toml(program.target))

    def write_record(self, record: Record, about: Mapping[str, Any]) -> None:
        """Write run.json: the arguments, then the circumstances."""
        write_text(self.record, to_json({**record.values(), **about}) + "\n")

    def replace_record(self, record: Record) -> None:
        """Write the arguments anew, and leave the circumstances as they were."""
        there = self._unchecked()
        self.write_record(record, {k: v for k, v in there.items() if k not in record.values()})

    def write_timings(self, timings: Mapping[str, Any]) -> None:
        """Write into run.json how long the training took."""
        write_text(self.record, to_json({**self._unchecked(), "timings": timings}) + "\n")

    def data_digest(self) -> str | None:
        """The SHA-256 of the data that run.json has; None in folders of earlier versions."""
        return self.circumstances().data_digest

    def data_name(self) -> str | None:
        """What run.json calls the data; None where it does not say."""
        found = self._unchecked().get("data")
        return found if isinstance(found, str) else None

    def data_classes(self) -> tuple[str, ...]:
        """The names of the classes that were trained on, by number; empty where they had none."""
        return tuple(self.circumstances().data_classes)

    def circumstances(self) -> Circumstances:
        """Return what run.json says beside the arguments; raises CheckpointError.

        Of a folder without one as of an early version's.
        """
        from rpucc.runs.record import Circumstances, read_circumstances

        return read_circumstances(self.record) if self.record.is_file() else Circumstances()

    def made_with(self) -> dict[str, Any]:
        """What run.json says of "machine" and "versions"; empty where it does not."""
        return self.circumstances().model_dump(include={"machine", "versions"}, exclude_unset=True)

    def write_machine(self, **found: Any) -> None:
        """Write keys of run.json's "machine" anew."""
        there = self._unchecked()
        machine = there.get("machine")
        machine = {**(machine if isinstance(machine, dict) else {}), **found}
        write_text(self.record, to_json({**there, "machine": machine}) + "\n")

    def _unchecked(self) -> dict[str, Any]:
        from rpucc.runs.record import read_json

        return read_json(self.record) if self.record.is_file() else {}

    def write_metrics(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Write metrics.csv: the reproducible metrics of all epochs."""
        write_text(self.metrics, records_csv(history))

    def write_calibration(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write calibration.csv: what zero-shifting found and left in each layer."""
        if rows:
            write_text(self.calibration, records_csv(rows))

    def refuse_overwriting(self) -> None:
        """Raise OutputError where training would replace what someone may want to keep."""
        if self.checkpoint.exists():
            raise OutputError(
                f"{self.path}: holds a checkpoint already; --resume continues it, --force starts "
                "over, -o names another folder"
            )
        ours = self._ours()
        foreign = [] if self.record.exists() else [path for path in ours if path.exists()]
        if foreign:
            raise OutputError(
                f"{self.path}: is no run folder, but holds a {foreign[0].name}; -o names another "
                "folder, --force replaces the file"
            )

    def check(self, *, force: bool) -> None:
        """Raise an error where the folder cannot hold a new training; force: may replace one."""
        check_folder(self.path)
        if not force:
            self.refuse_overwriting()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the folder, made where it is not there, for one training.

        Raises OutputError where another process trains in it.
        """
        there = self.path.exists()
        make_folder(self.path)
        with contextlib.ExitStack() as ends, locked_folder(self.path) as free:
            if not there:
                ends.callback(self._remove_if_empty)
            if not free:
                raise OutputError(
                    f"{self.path}: another process trains in this folder; -o names another one, or "
                    "wait until it ends"
                )
            yield

    def tidy(self) -> None:
        """Remove what killed writers left here; what a living one has stays."""
        remove_rests(self.path)

    def clear(self) -> None:
        """Remove what an earlier training left."""
        try:
            for path in (self.checkpoint, *self.kept, *self._ours(), *self.curves.glob(EVENTS)):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise OutputError(f"{path}: cannot remove: {error.strerror}") from error

    def _remove_if_empty(self) -> None:
        with contextlib.suppress(OSError):
            self.path.rmdir()

    def _ours(self) -> tuple[Path, ...]:
        """The files that a new training writes, besides its checkpoint."""
        logs = (self.metrics, self.steps, self.layers, self.events, self.calibration)
        return (self.program, self.target, *logs, self.record)
