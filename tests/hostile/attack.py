"""Attack a reader with many damaged files, batch by batch in processes of their own.

python -m tests.hostile.attack READER COUNT [SEED] [FOLDER]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from .readers import READERS

BATCH = 2500


@dataclass
class Result:
    """How a reader stood."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    longest: float = 0.0
    seconds: float = 0.0

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {kind}" for kind, count in sorted(self.counts.items()))
        return f"{counts}; longest {self.longest:.1f} s, all {self.seconds:.0f} s"


def attack(name: str, count: int, seed: int, folder: Path) -> Result:
    """Try `count` damaged files; FOLDER keeps those that failed."""
    started = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for i, original in enumerate(READERS[name].originals(folder)):
        (folder / f"original-{i:02}").write_bytes(original)
    result, first = Result(), 0
    while first < count:
        last = min(first + BATCH, count)
        worker = subprocess.run(
            [sys.executable, str(Path(__file__).with_name("worker.py")), name, str(folder),
             str(seed), str(first), str(last)],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for line in worker.stdout.splitlines():
            found = json.loads(line)
            if "counts" in found:
                result.counts.update(found["counts"])
                result.longest = max(result.longest, found["longest"])
            else:
                result.failures.append(f"case {found['case']}: {found['kind']}\n{found['text']}")
        first = last
        if worker.returncode:  # the process died: of which case?
            progress = folder / "progress.txt"
            assert progress.exists(), worker.stderr
            case = int(progress.read_text())
            (folder / READERS[name].name).rename(folder / f"failed-{case}")
            result.counts["crash"] += 1
            result.failures.append(
                f"case {case}: exit {worker.returncode}\n{worker.stderr[-2000:]}"
            )
            first = case + 1
    result.seconds = time.monotonic() - started
    return result


if __name__ == "__main__":
    given = sys.argv[1:]
    place = Path(given[3]) if len(given) > 3 else Path(tempfile.mkdtemp())
    found = attack(given[0], int(given[1]), int(given[2]) if len(given) > 2 else 0, place)
    for failure in found.failures:
        print(failure)
    print(f"{given[0]}: {found} ({place})")
