"""events.jsonl: what happened to a training and when, one line an event, only ever added to.

started, recalibrated, resumed, interrupted, failed, finished, each with the time (UTC) and where
the training stood. Not for metrics: those are the same for the same seed, times are not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from rpucc.checked import AtLeast0
from rpucc.errors import OutputError
from rpucc.runs.about import now
from rpucc.runs.json_lines import read_lines

Kind = Literal["started", "recalibrated", "resumed", "epoch", "interrupted", "failed", "finished"]


@dataclass(frozen=True)
class Event:
    """One line."""

    kind: Kind
    epoch: int = 0
    """Complete epochs."""
    samples: int = 0
    """Samples of the next epoch that are trained."""
    seconds: float | None = None
    """Of an epoch: its training, without the test."""
    command: str | None = None
    """Of started and resumed: as it was typed."""
    reason: str | None = None
    """Of failed: the message; of finished: "stopped early", where it did; of recalibrated: what was
    measured again; of resumed: what is not as it was when the training was started."""
    time: str = field(default_factory=now)

    def to_dict(self) -> dict[str, Any]:
        """Return the keys that say something."""
        found = {"time": self.time, "event": self.kind, "epoch": self.epoch}
        found |= {"samples": self.samples}
        more = {"seconds": self.seconds, "command": self.command, "reason": self.reason}
        return found | {key: value for key, value in more.items() if value is not None}


def append(path: Path, event: Event) -> None:
    """Add a line; raises OutputError. A line that a killed writer left half is ended first."""
    line = json.dumps(event.to_dict()) + "\n"
    try:
        with path.open("ab+") as stream:
            if stream.tell():
                stream.seek(-1, 2)
                line = line if stream.read(1) == b"\n" else "\n" + line
            stream.write(line.encode())
    except OSError as error:
        raise OutputError(f"{path}: cannot write: {error.strerror or error}") from error


class _Line(BaseModel):
    """A line, of that what is read again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    event: Kind
    seconds: AtLeast0 | None = None


def training_times(path: Path) -> list[float]:
    """Return the seconds that the training of each epoch took; lines that are none are left out."""
    lines = read_lines(path, _Line)
    return [e.seconds for e in lines if e.event == "epoch" and e.seconds is not None]
