"""Splitting work: whole pieces, nothing twice, nothing lost, errors of any thread seen."""

from __future__ import annotations

import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.runtime.threads import MIN_OPERATIONS, Threads


@given(total=st.integers(1, 200), piece=st.integers(1, 60), count=st.integers(1, 9))
def test_parts_are_runs_of_whole_pieces(total: int, piece: int, count: int) -> None:
    threads = Threads.__new__(Threads)  # without its pool: only the splitting is looked at
    threads.count = count
    parts = threads.split(total, piece, float(MIN_OPERATIONS))
    assert 1 <= len(parts) <= count
    assert parts[0][0] == 0
    assert parts[-1][1] == total
    assert all(left[1] == right[0] for left, right in pairwise(parts))
    assert all(a < b and a % piece == 0 for a, b in parts)


def test_little_work_stays_in_one_part() -> None:
    assert Threads(4).split(100, 1, MIN_OPERATIONS - 1.0) == [(0, 100)]
    assert len(Threads(4).split(100, 1, MIN_OPERATIONS)) == 4


@pytest.mark.parametrize("count", [1, 3])
def test_all_jobs_run_and_on_as_many_threads_as_there_are(count: int) -> None:
    seen: list[tuple[int, int]] = []
    together = threading.Barrier(count)

    def job(i: int) -> None:
        together.wait(timeout=10)  # breaks unless all of them run at the same time
        seen.append((i, threading.get_ident()))

    Threads(count).run([lambda i=i: job(i) for i in range(count)])  # type: ignore[misc]
    assert sorted(i for i, _ in seen) == list(range(count))
    assert len({thread for _, thread in seen}) == count
    assert threading.get_ident() in {thread for _, thread in seen}


@pytest.mark.parametrize("failing", [0, 1])
def test_an_error_in_any_thread_comes_out(failing: int) -> None:
    def job(i: int) -> None:
        if i == failing:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Threads(2).run([lambda: job(0), lambda: job(1)])
