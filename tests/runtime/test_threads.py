"""Splitting work: whole pieces, nothing twice, nothing lost, errors of any thread seen."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.runtime.threads import MIN_OPERATIONS, MIN_SHARED, Threads, Work, _Worker


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


@pytest.mark.parametrize("failing", [0, 1])
def test_threads_work_on_after_an_error_and_all_jobs_end_before_it_comes_out(failing: int) -> None:
    threads, done = Threads(2), threading.Event()

    def fail() -> None:
        raise ZeroDivisionError

    def slow() -> None:
        done.wait(0.05)
        done.set()

    jobs = [fail, slow] if failing == 0 else [slow, fail]
    for _ in range(3):
        done.clear()
        with pytest.raises(ZeroDivisionError):
            threads.run(jobs)
        assert done.is_set()
    seen: list[int] = []
    for i in range(50):
        threads.run([lambda i=i: seen.append(i), lambda i=i: seen.append(-i)])  # type: ignore[misc]
    assert sorted(seen) == sorted([*range(50), *(-i for i in range(50))])


def test_an_exception_in_a_wait_leaves_nothing_behind() -> None:
    """Ctrl-C may arrive while the caller waits: the next job waits for the last one first."""
    worker = _Worker()
    order: list[str] = []
    slow = threading.Event()
    worker.start(lambda: (slow.wait(0.05), order.append("first")))  # type: ignore[arg-type,return-value]
    worker.start(lambda: order.append("second"))  # nobody waited for the first
    assert worker.wait() is None
    assert order == ["first", "second"]
    worker.start(None)


def test_workers_end_with_their_threads() -> None:
    before = set(threading.enumerate())  # workers of earlier tests may still be ending
    threads = Threads(4)
    threads.run([lambda: None] * 4)
    workers = set(threading.enumerate()) - before
    assert len(workers) == 3
    del threads
    gc.collect()
    for worker in workers:
        worker.join(timeout=5)
        assert not worker.is_alive()


def works(sizes: list[int], done: list[tuple[int, int, int]], on: list[int]) -> list[Work]:
    """Works of so many operations; each job notes (work, part, thread)."""
    things = [object() for _ in sizes]

    def parts(i: int, count: int) -> list[Callable[[], None]]:
        return [lambda k=k: done.append((i, k, threading.get_ident())) for k in range(count)]  # type: ignore[misc]

    return [Work(float(n), partial(parts, i), things[on[i]]) for i, n in enumerate(sizes)]


def test_shared_works_are_all_done_once_and_balanced() -> None:
    done: list[tuple[int, int, int]] = []
    sizes = [MIN_SHARED, MIN_SHARED // 2, MIN_SHARED // 2]
    Threads(2).share(works(sizes, done, [0, 1, 2]))()
    assert sorted(i for i, _, _ in done) == [0, 1, 2]  # none is worth cutting
    by_work = {i: thread for i, _, thread in done}
    assert by_work[1] == by_work[2] != by_work[0]


def test_a_work_that_is_most_of_it_is_cut() -> None:
    done: list[tuple[int, int, int]] = []
    Threads(2).share(works([4 * MIN_SHARED, MIN_SHARED], done, [0, 1]))()
    assert sorted((i, k) for i, k, _ in done) == [(0, 0), (0, 1), (1, 0)]
    assert len({thread for i, _, thread in done if i == 0}) == 2


def test_works_on_the_same_thing_keep_their_order_on_one_thread() -> None:
    done: list[tuple[int, int, int]] = []
    Threads(2).share(works([MIN_SHARED] * 3, done, [0, 1, 0]))()
    assert [i for i, _, _ in done if i != 1] == [0, 2]
    assert len({thread for i, _, thread in done if i != 1}) == 1


def test_little_work_is_not_shared() -> None:
    done: list[tuple[int, int, int]] = []
    Threads(2).share(works([10, 20, 30], done, [0, 1, 2]))()
    assert {thread for _, _, thread in done} == {threading.get_ident()}
    assert len(done) == 3
