"""Times from plain numbers: paces, timelines, the critical path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpucc.cost.timing import Pace
from rpucc.plan.schedule import Step, busy, critical_path, finish, timeline


def test_a_read_takes_t_read_and_its_repetitions() -> None:
    pace = Pace(t_read=80e-9, rereads_forward=0.25, rereads_backward=1.0)
    assert pace.seconds("forward", 729) == pytest.approx(729 * 80e-9 * 1.25)
    assert pace.seconds("backward", 729) == pytest.approx(729 * 80e-9 * 2)


def test_an_update_takes_its_pulse_slots() -> None:
    assert Pace(t_read=1.0, t_pulse=1e-9, bl=31).seconds("update", 64) == pytest.approx(64 * 31e-9)
    assert Pace(t_read=1.0, t_pulse=1e-9, bl=0).seconds("update", 64) == 0


def test_replicas_divide_reads_and_round_up() -> None:
    pace = Pace(t_read=1.0, t_pulse=1.0, bl=2, replicas=4)
    assert pace.seconds("forward", 10) == 3.0
    assert pace.seconds("update", 10) == 20.0  # every copy does all updates
    apart = Pace(t_read=1.0, t_pulse=1.0, bl=2, replicas=4, shared_updates=False)
    assert apart.seconds("update", 10) == 6.0


@given(st.integers(1, 10_000), st.integers(1, 64))
def test_more_replicas_are_never_slower(reads: int, replicas: int) -> None:
    one, many = Pace(t_read=1.0), Pace(t_read=1.0, replicas=replicas)
    assert reads / replicas <= many.seconds("forward", reads) <= one.seconds("forward", reads)


def test_branches_run_at_once_and_join() -> None:
    steps = [
        Step("stem", "forward", 1.0),
        Step("long", "forward", 5.0, (0,)),
        Step("short", "forward", 2.0, (0,)),
        Step("head", "forward", 1.0, (1, 2)),
    ]
    stages = timeline(steps)
    assert [s.start for s in stages] == [0.0, 1.0, 1.0, 6.0]
    assert finish(stages) == 7.0
    assert critical_path(steps, "forward") == ("stem", "long", "head")
    assert busy(stages) == {"stem": 1.0, "long": 5.0, "short": 2.0, "head": 1.0}


def test_a_cycle_of_its_own() -> None:
    steps = [Step("a", "forward", 1.0), Step("a", "backward", 9.0, (0,))]
    stages = timeline(steps)
    assert (finish(stages, "forward"), finish(stages)) == (1.0, 10.0)
    assert busy(stages, "backward") == {"a": 9.0}
    assert critical_path(steps, "forward") == ("a",)


def test_nothing_takes_no_time() -> None:
    assert timeline([]) == ()
    assert finish([]) == 0.0
    assert critical_path([], "forward") == ()


@pytest.mark.parametrize("after", [(0,), (1,), (-1,)])
def test_a_step_cannot_wait_for_what_comes_later(after: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="step 0 waits for step"):
        timeline([Step("a", "forward", 1.0, after), Step("b", "forward", 1.0)])


@st.composite
def programs(draw: st.DrawFn) -> list[Step]:
    count = draw(st.integers(1, 12))
    return [
        Step(
            f"layer{i}",
            "forward",
            float(draw(st.integers(1, 9))),
            tuple(sorted(draw(st.sets(st.integers(0, i - 1), max_size=3)))) if i else (),
        )
        for i in range(count)
    ]


@given(programs())
def test_one_image_takes_as_long_as_its_critical_path(steps: list[Step]) -> None:
    length = {step.layer: step.seconds for step in steps}
    path = critical_path(steps, "forward")
    assert sum(length[layer] for layer in path) == finish(timeline(steps))


@given(programs())
def test_no_step_starts_before_what_it_waits_for(steps: list[Step]) -> None:
    stages = timeline(steps)
    for step, stage in zip(steps, stages, strict=True):
        assert stage.start == max((stages[i].end for i in step.after), default=0.0)
