"""A measuring process of one side: imports once, then measures each spec in a fork of itself.

    python -m benchmarks.worker SIDE        specs in, results out, one JSON a line; sides: MODULES

A fork per measurement keeps memory, threads and random state apart without paying for the imports
each time. The parent process computes on one thread at most, so that no thread pool is forked.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.clock import busy_seconds

MODULES = {
    "rpucc": "benchmarks.ours",
    "torch": "benchmarks.peers",
    "aihwkit": "benchmarks.peers",
    "rpucc-moments": "benchmarks.agreement.ours",
    "aihwkit-moments": "benchmarks.agreement.theirs",
}
TIME_LIMIT = 150
"""Seconds that one measurement may take."""

Result = dict[str, Any]


def one_line(error: Exception) -> str:
    """An exception as the report shows it."""
    first = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {first}"


def measured(measure: Callable[[Result], Result], spec: Result) -> Result:
    """One measurement, with who used the processors meanwhile; an exception becomes a line."""
    busy, own, started = busy_seconds(), time.process_time(), time.perf_counter()
    try:
        result = measure(spec)
    except Exception as error:  # noqa: BLE001 (the report says what failed, and goes on)
        return {"error": one_line(error)}
    elapsed = time.perf_counter() - started
    own = time.process_time() - own
    others = max(0.0, busy_seconds() - busy - own) / elapsed
    return {**result, "own_cpus": round(own / elapsed, 2), "other_cpus": round(others, 2)}


def in_fork(measure: Callable[[Result], Result], spec: Result) -> Result:
    """Measure in a child process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(TIME_LIMIT)
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(measured(measure, spec)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if text:
        return dict(json.loads(text))
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM:
        return {"error": f"took longer than {TIME_LIMIT} s"}
    return {"error": f"the process ended with status {status}"}


def main(side: str) -> None:
    """Answer specs until the input ends."""
    # The root folder holds only a part of the package; what is installed must win.
    root = str(Path(__file__).resolve().parents[1])
    sys.path[:] = [p for p in sys.path if os.path.abspath(p or os.curdir) != root] + [root]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints is not an answer

    def answer(result: Result) -> None:
        answers.write(json.dumps(result) + "\n")
        answers.flush()

    try:
        module = importlib.import_module(MODULES[side])
        answer({"versions": module.prepare(side)})
    except Exception as error:  # noqa: BLE001 (absent, or of a build that does not load)
        answer({"absent": one_line(error)})
        return
    for line in sys.stdin:
        answer(in_fork(module.measure, json.loads(line)))


if __name__ == "__main__":
    main(sys.argv[1])
