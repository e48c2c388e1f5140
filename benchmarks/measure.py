"""Runs specs in turn on the workers of all sides, and keeps every result of every round.

Not for what a measurement is (`ours.py`, `peers.py`) nor for what is made of it (`report.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.cases import Group, Spec

ROOT = Path(__file__).resolve().parents[1]
DISTURBED = 0.3
"""CPUs that other processes may use meanwhile before a measurement is marked."""

Result = dict[str, Any]


@dataclass
class Results:
    """All results by the key of their spec, in the order of rounds; absent sides and why."""

    by_key: dict[str, list[Result]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)

    def values(self, spec: Spec, metric: str) -> list[float | None]:
        """The metric in every round; None where it failed."""
        return [result.get(metric) for result in self.by_key.get(spec.key, [])]

    def median(self, spec: Spec, metric: str) -> float | None:
        """The median over the rounds, or None without a single value."""
        values = [value for value in self.values(spec, metric) if value is not None]
        return statistics.median(values) if values else None

    def ratios(self, ours: Spec, theirs: Spec, metric: str) -> list[float]:
        """How many times better ours is, in each round in which both were measured."""
        found = []
        for a, b in zip(self.values(ours, metric), self.values(theirs, metric), strict=False):
            if a and b:
                found.append(a / b if metric.endswith("per_second") else b / a)
        return found

    def error(self, spec: Spec) -> str | None:
        """Why a spec has no result."""
        if spec.side in self.absent:
            return f"{spec.side} is not installed"
        found = [r["error"] for r in self.by_key.get(spec.key, []) if "error" in r]
        return found[0] if found else None

    def disturbed(self) -> tuple[int, int]:
        """How many single-threaded measurements others disturbed, and how many there are."""
        every = [r for results in self.by_key.values() for r in results if "other_cpus" in r]
        return sum(r["other_cpus"] > DISTURBED for r in every), len(every)


class Worker:
    """A process of one side with one number of threads, started when first needed."""

    def __init__(self, python: str, side: str, threads: int) -> None:
        one = {"OPENBLAS_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}  # rpucc has its own threads
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        env = {**os.environ, **dict.fromkeys(names, str(threads)), **one}
        self._process: subprocess.Popen[str] | None = None
        try:
            self._process = subprocess.Popen(
                [python, "-m", "benchmarks.worker", side], cwd=ROOT, env=env, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            self.hello = self._read()
        except OSError as error:
            self.hello = {"absent": f"{python}: {error.strerror}"}

    def ask(self, request: Result) -> Result:
        """Measure one spec."""
        assert self._process is not None
        pipe = self._process.stdin
        assert pipe is not None
        try:
            pipe.write(json.dumps(request) + "\n")
            pipe.flush()
        except BrokenPipeError:
            return {"error": "the worker has ended"}
        return self._read()

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.communicate()  # closes its input, which ends it

    def _read(self) -> Result:
        assert self._process is not None
        pipe = self._process.stdout
        assert pipe is not None
        line = pipe.readline()
        if not line:
            return {"absent": "its process ended", "error": "its process ended"}
        return dict(json.loads(line))


class Workers:
    """The workers of a run; `peer_python` runs aihwkit and PyTorch."""

    def __init__(self, peer_python: str, results: Results) -> None:
        self._peer_python, self._results = peer_python, results
        self._workers: dict[tuple[str, int], Worker] = {}

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self._workers.values():
            worker.close()

    def ask(self, spec: Spec, seconds: float) -> Result | None:
        """Measure a spec; None where its side is absent."""
        if spec.side in self._results.absent:
            return None
        key = (spec.side, spec.threads)
        if key not in self._workers:
            python = sys.executable if spec.side == "rpucc" else self._peer_python
            worker = Worker(python, *key)
            self._workers[key] = worker
            if "absent" in worker.hello:
                self._results.absent[spec.side] = worker.hello["absent"]
                return None
            self._results.versions.update(worker.hello["versions"])
        return self._workers[key].ask(spec.request(seconds))


def run(
    groups: Sequence[Group],
    peer_python: str,
    repeats: int,
    seconds: float,
    say: Callable[[str], None] = print,
) -> Results:
    """Measure all groups, each in rounds over its specs, so that pairs are close in time."""
    results = Results()
    with Workers(peer_python, results) as workers:
        for group in groups:
            for number in range(min(repeats, group.most_rounds)):
                say(f"{group.name}: round {number + 1}")
                # Every other round runs backwards: what drifts does not favour a side.
                for spec in group.specs[:: 1 if number % 2 == 0 else -1]:
                    result = workers.ask(spec, seconds * group.share)
                    if result is None:
                        continue
                    results.by_key.setdefault(spec.key, []).append(result)
                    if "error" in result:
                        say(f"  {spec.key}: {result['error']}")
    for side, why in results.absent.items():
        say(f"{side} was left out: {why}")
    return results
