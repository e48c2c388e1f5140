"""events.jsonl: what happened to a training and when, one line an event, only ever added to.

started, recalibrated, resumed, interrupted, failed, finished, each with the time (UTC) and where
the training stood. Not for metrics: those are the same for the same seed, times are not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rpucc.errors import OutputError
from rpucc.runs.about import now
from rpucc.runs.json_lines import read_lines

KINDS = ("started", "recalibrated", "resumed", "epoch", "interrupted", "failed", "finished")


@dataclass(frozen=True)
class Event:
    """One line."""

    kind: str
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


def read_events(path: Path) -> list[dict[str, Any]]:
    """Return the events; lines that are none are passed over."""
    return read_lines(path, lambda entry: entry.get("event") in KINDS)
