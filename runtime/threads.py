"""Splitting work over threads, in pieces that never depend on how many there are.

Kernels release the GIL, so plain threads serve. A piece is the unit whose result is fixed; a
thread gets a run of whole pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

# Below this many elementary operations a second thread costs more (about 30 us) than it saves.
MIN_OPERATIONS = 4_000_000


class Threads:
    """A pool of `count` threads, the caller's included."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._pool = ThreadPoolExecutor(count - 1) if count > 1 else None

    def split(self, total: int, piece: int, operations: float) -> list[tuple[int, int]]:
        """Cut range(total) into at most `count` runs of whole pieces; one run for little work."""
        pieces = -(-total // piece)
        parts = 1 if operations < MIN_OPERATIONS else min(self.count, pieces)
        borders = [min(total, pieces * i // parts * piece) for i in range(parts + 1)]
        return [(a, b) for a, b in pairwise(borders) if a < b] or [(0, total)]

    def run(self, jobs: Sequence[Callable[[], None]]) -> None:
        """Run the jobs at the same time and wait for all of them."""
        if self._pool is None or len(jobs) == 1:
            for job in jobs:
                job()
            return
        futures = [self._pool.submit(job) for job in jobs[1:]]
        jobs[0]()
        for future in futures:
            future.result()
