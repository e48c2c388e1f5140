"""Attack a reader with many damaged files, batch by batch in processes of their own.

Not for the command line: that is scripts/attack.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .readers import READERS

BATCH = 5000
GOOD = ("taken", "refused", "not counted")


@dataclass
class Result:
    """How a reader stood."""

    reader: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Seconds of the slowest case."""
    memory: int = 0
    """Bytes that the hungriest case took."""
    seconds: float = 0.0

    @property
    def wrong(self) -> Counter[str]:
        """What no reader may do, and how often it did."""
        return Counter({kind: n for kind, n in self.counts.items() if kind not in GOOD})


def attack(name: str, count: int, seed: int, folder: Path, first: int = 0) -> Result:
    """Try `count` damaged files from number `first` on; FOLDER keeps those that failed."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for i, original in enumerate(READERS[name].originals(folder)):
        (folder / f"original-{i:03}").write_bytes(original)
    result, end = Result(name), first + count
    while first < end:
        last = min(first + BATCH, end)
        worker = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("worker.py")), name, str(folder),
             str(seed), str(first), str(last)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in worker.stdout.splitlines():
            if not line.startswith("{"):
                continue  # what a library says
            found = json.loads(line)
            if "counts" in found:
                result.counts.update(found["counts"])
                result.longest = max(result.longest, found["longest"])
                result.memory = max(result.memory, found["memory"])
            else:
                result.failures.append(f"case {found['case']}: {found['kind']}\n{found['text']}")
        if worker.returncode:  # the process died: of which case?
            progress = folder / "progress.txt"
            assert progress.exists(), worker.stderr
            case = int(progress.read_text())
            (folder / READERS[name].name).rename(folder / f"failed-{case}")
            result.counts["signal"] += 1
            result.counts["not counted"] += case - first  # of this process, before it died
            result.failures.append(
                f"case {case}: exit {worker.returncode}\n{worker.stderr[-2000:]}"
            )
            last = case + 1
        first = last
    result.seconds = time.monotonic() - started
    return result
