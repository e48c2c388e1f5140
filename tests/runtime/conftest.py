"""Fixtures that tests of the runtime share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from rpucc.runtime import threads as threads_module
from rpucc.runtime.threads import Threads


@pytest.fixture
def many_parts(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Split all work that can be split, however little; tells how many parts each run had.

    A test of a few samples would be on one thread otherwise, whatever it asks for.
    """
    counts: list[int] = []
    run = Threads.run

    def counting(self: Threads, jobs: Sequence[Callable[[], None]]) -> None:
        counts.append(len(jobs))
        run(self, jobs)

    monkeypatch.setattr(threads_module, "MIN_OPERATIONS", 0)
    monkeypatch.setattr(threads_module, "MIN_SHARED", 0)
    monkeypatch.setattr(threads_module, "TOO_LARGE", 0)
    monkeypatch.setattr(Threads, "run", counting)
    return counts
