"""layers.jsonl: what each epoch of a training did to each layer, and where its weights lay.

A line of JSON that names the format, one for the state before training (epoch 0), one an epoch.
An epoch's line is added before its checkpoint is written: the file is never behind it, and what it
is ahead after a kill, half a line too, is left out where training goes on. So a resumed training
has the same bytes as one that was never stopped. Not for what figures there are: that is
rpucc.runtime.plane_figures and layer_stats.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from rpucc.checked import read_text
from rpucc.errors import CheckpointError, OutputError, one_line
from rpucc.outputs import write_text
from rpucc.runtime.plane_figures import PlaneState, state_figures

if TYPE_CHECKING:
    from rpucc.runtime.layer_stats import LayerStats
    from rpucc.runtime.machine import Machine

FORMAT = "rpucc-layers-1"
COUNTS = ("pulses", "reads", "saturated_reads", "rereads")


@dataclass(frozen=True)
class LayerEpoch:
    """One layer in one epoch."""

    layer: str
    weights: int
    planes: tuple[PlaneState, ...]
    """Where its weights lay at the end: what reads see, and each plane that learns."""
    pulses: int | None = None
    reads: int | None = None
    saturated_reads: int | None = None
    rereads: int | None = None
    """Of the epoch's training; None before training."""

    def plane(self, name: str) -> PlaneState | None:
        """Return the state of a plane."""
        return next((each for each in self.planes if each.plane == name), None)

    @property
    def pulses_per_weight(self) -> float | None:
        """Pulses over the weights."""
        return None if self.pulses is None else self.pulses / max(self.weights, 1)

    @property
    def saturated(self) -> float | None:
        """Saturated reads as a part of all."""
        return _part(self.saturated_reads, self.reads)

    @property
    def reread(self) -> float | None:
        """Re-reads as a part of all reads."""
        return _part(self.rereads, self.reads)

    @property
    def at_bounds(self) -> float | None:
        """The part of the main plane's devices within a step of a bound; None without bounds."""
        found = next((each for each in self.planes if each.at_lower is not None), None)
        return None if found is None else (found.at_lower or 0.0) + (found.at_upper or 0.0)

    @property
    def spread(self) -> float:
        """Standard deviation of what reads see."""
        return self.planes[0].std

    def __post_init__(self) -> None:
        counts = (self.weights, *(getattr(self, key) or 0 for key in COUNTS))
        if not self.planes or not all(0 <= count < 2**63 for count in counts):
            raise ValueError("a layer has no planes, or a count that is none")


@dataclass(frozen=True)
class EpochRecord:
    """Every layer on arrays in one epoch."""

    epoch: int
    """0: before training."""
    layers: tuple[LayerEpoch, ...]

    def layer(self, name: str) -> LayerEpoch | None:
        """Return one layer."""
        return next((each for each in self.layers if each.layer == name), None)


RECORDS = TypeAdapter(EpochRecord)
"""Checks a line of the file."""


class LayerRecorder:
    """Keeps layers.jsonl while a machine is trained."""

    def __init__(self, path: Path, machine: Machine) -> None:
        """Take up what the file has of epochs that the machine's checkpoint knows.

        Writes what that leaves, with the state before training where it has not begun; raises
        CheckpointError for a damaged file, OutputError where it cannot be written.
        """
        self.path, self.machine = path, machine
        done = machine.counters
        known = _read(path) if path.exists() else []
        lines = [line for line, record in known if record.epoch <= done.epoch]
        if not done.epoch and not done.done:
            lines = [_line(_epoch(machine, 0, ()))]
        write_text(path, "".join(f"{line}\n" for line in (json.dumps({"format": FORMAT}), *lines)))

    def add(self, stats: tuple[LayerStats, ...]) -> None:
        """Add a complete epoch, whose checkpoint is not written yet; raises OutputError."""
        epoch = stats[0].epoch if stats else self.machine.counters.epoch
        line = _line(_epoch(self.machine, epoch, stats)) + "\n"
        try:
            with self.path.open("ab") as stream:
                stream.write(line.encode())
        except OSError as error:
            raise OutputError(f"{self.path}: cannot write: {error.strerror or error}") from error


def read_layer_records(path: Path) -> tuple[EpochRecord, ...]:
    """Return what was recorded, by rising epochs; raises CheckpointError, which names the line.

    A last line without its end, as a killed writer leaves it, is passed over.
    """
    return tuple(record for _, record in _read(path))


def _read(path: Path) -> list[tuple[str, EpochRecord]]:
    try:
        *lines, _ = read_text(path).split("\n")
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from None
    found: list[tuple[str, EpochRecord]] = []
    for number, line in enumerate(lines, start=1):
        try:
            if number == 1:
                _check_format(line)
                continue
            record = RECORDS.validate_json(line, strict=True)
            if record.epoch <= (found[-1][1].epoch if found else -1):
                raise ValueError(f"epoch {record.epoch} does not come after the one before")
        except (ValueError, RecursionError) as error:
            raise CheckpointError(
                f"{path}, line {number}: is damaged: {_reason(error)}; without the file training "
                "goes on and is recorded from there"
            ) from error
        found.append((line, record))
    return found


def _check_format(line: str) -> None:
    data = json.loads(line)
    found = data.get("format") if isinstance(data, dict) else None
    if found != FORMAT:
        raise ValueError(f"its format is {str(found)[:40]!r}, this rpucc reads {FORMAT!r}")


def _reason(error: Exception) -> str:
    """Return what is wrong in a line: of several things the first, with its place."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = "".join(f"{part}." for part in first["loc"]).rstrip(".")
        return one_line(f"{place}: {first['msg']}" if place else first["msg"])
    return one_line(error)


def _epoch(machine: Machine, epoch: int, stats: tuple[LayerStats, ...]) -> EpochRecord:
    counted = {each.layer: {key: getattr(each, key) for key in COUNTS} for each in stats}
    return EpochRecord(
        epoch,
        tuple(
            LayerEpoch(
                array.layer,
                array.size,
                tuple(state_figures(array)),
                **counted.get(array.layer, {}),
            )
            for array in machine.arrays.values()
        ),
    )


def _line(record: EpochRecord) -> str:
    return json.dumps(asdict(record), separators=(",", ":"))


def _part(part: int | None, whole: int | None) -> float | None:
    return None if part is None or whole is None else part / max(whole, 1)
