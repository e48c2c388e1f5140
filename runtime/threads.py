"""Splitting work over threads, in pieces that never depend on how many there are.

Kernels release the GIL, so plain threads serve. A piece is the unit whose result is fixed; a
thread gets a run of whole pieces. The workers live as long as their `Threads` and wait on a lock:
handing them a job and waiting for its end takes about ten microseconds.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

Job = Callable[[], None]

# Below this many elementary operations (multiply-adds of a matrix product; about 30 us) a second
# thread costs more than it saves.
MIN_OPERATIONS = 2_000_000
# The same for works that run beside each other; each goes through several short calls that wait for
# Python's lock (half a millisecond).
MIN_SHARED = 33_000_000
# A work is cut over the threads if it is more than this times a thread's share.
TOO_LARGE = 1.25


@dataclass(frozen=True)
class Work:
    """Something to do beside other works: `parts(n)` gives at most n jobs that together do it."""

    operations: float
    """How much it is, in multiply-adds of a matrix product."""
    parts: Callable[[int], Sequence[Job]]
    on: object
    """What it changes: works on the same thing are done one after the other."""


class Threads:
    """`count` threads that work together, the caller's included."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._workers = [_Worker() for _ in range(count - 1)]
        weakref.finalize(self, _stop, self._workers)

    def split(self, total: int, piece: int, operations: float) -> list[tuple[int, int]]:
        """Cut range(total) into at most `count` runs of whole pieces; one run for little work."""
        return cut(total, piece, 1 if operations < MIN_OPERATIONS else self.count)

    def instruction(
        self, total: int, operations: float, run: Callable[..., None],
        scratch: Callable[[], Any] | None, piece: int,
    ) -> Job:  # fmt: skip
        """The job that calls run(a, b) for range(total), cut over the threads.

        operations: how much work all of it is; scratch: makes a third argument for each thread;
        piece: what is not cut, because its size is part of the result.
        """
        jobs = [
            partial(run, a, b) if scratch is None else partial(run, a, b, scratch())
            for a, b in self.split(total, piece, operations)
        ]
        return jobs[0] if len(jobs) == 1 else partial(self.run, jobs)

    def share(self, works: Sequence[Work]) -> Job:
        """The job that does all works, each on one thread where that balances, else cut.

        Largest first, each to the thread that has least to do. Cut works cost more in all: what
        their parts have in common is done twice.
        """
        groups: dict[int, list[Work]] = {}
        for work in works:
            groups.setdefault(id(work.on), []).append(work)
        total = sum(work.operations for work in works)
        threads = 1 if total < MIN_SHARED else self.count
        bins: list[list[Job]] = [[] for _ in range(threads)]
        loads = [0.0] * threads
        for group in sorted(groups.values(), key=lambda g: -sum(w.operations for w in g)):
            operations = sum(work.operations for work in group)
            cut = len(group) == 1 and operations > TOO_LARGE * total / threads
            jobs = [job for work in group for job in work.parts(threads if cut else 1)]
            parts = [[job] for job in jobs] if cut else [jobs]
            for part in parts:
                least = loads.index(min(loads))
                loads[least] += operations / len(parts)
                bins[least] += part
        busy = [partial(_in_turn, jobs) for jobs in bins if jobs]
        return busy[0] if len(busy) == 1 else partial(self.run, busy)

    def run(self, jobs: Sequence[Job]) -> None:
        """Run the jobs (at most `count`) at the same time and wait for all of them.

        An error of any of them is raised here, once all are done.
        """
        if len(jobs) == 1 or not self._workers:
            for job in jobs:
                job()
            return
        busy = self._workers[: len(jobs) - 1]
        for worker, job in zip(busy, jobs[1:], strict=True):
            worker.start(job)
        try:
            jobs[0]()
        finally:
            errors = [worker.wait() for worker in busy]
        for error in errors:
            if error is not None:
                raise error


def cut(total: int, piece: int, count: int) -> list[tuple[int, int]]:
    """Cut range(total) into at most `count` runs of whole pieces."""
    pieces = -(-total // piece)
    parts = min(count, pieces)
    borders = [min(total, pieces * i // parts * piece) for i in range(parts + 1)] if parts else []
    return [(a, b) for a, b in pairwise(borders) if a < b] or [(0, total)]


def _in_turn(jobs: Sequence[Job]) -> None:
    for job in jobs:
        job()


class _Worker:
    """A thread that runs one job after another; two locks hand them over."""

    def __init__(self) -> None:
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._job: Job | None = None
        self._error: BaseException | None = None
        self._waited = True
        threading.Thread(target=self._loop, name="rpucc worker", daemon=True).start()

    def start(self, job: Job | None) -> None:
        """Let the thread run a job; None ends it."""
        if not self._waited:  # an exception cut the last wait short
            self.wait()
        self._job, self._waited = job, False
        self._go.release()

    def wait(self) -> BaseException | None:
        """Wait until the job is done; what it raised, if anything."""
        self._done.acquire()
        self._waited = True
        error, self._error, self._job = self._error, None, None
        return error

    def _loop(self) -> None:
        while True:
            self._go.acquire()
            if self._job is None:
                return
            try:
                self._job()
            except BaseException as error:  # noqa: BLE001 (raised again by the caller's thread)
                self._error = error
            self._done.release()


def _stop(workers: list[_Worker]) -> None:
    for worker in workers:
        worker.start(None)
