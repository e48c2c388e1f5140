"""Replication: copies where the target says, or where they make the pipeline fastest."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rpucc
from rpucc.errors import TargetError
from rpucc.passes.replicate import balance, next_useful
from rpucc.placement import GridSpec
from rpucc.target.target import ArrayKind, Target


def target(count: int, t_reads: tuple[float, ...] = (1e-8,)) -> Target:
    kinds = tuple(
        ArrayKind(name=f"a{i}", rows=64, cols=64, t_read=t, count=count)
        for i, t in enumerate(t_reads)
    )
    return Target.load("ideal").model_copy(update={"arrays": kinds})


def grids(*tiles: int) -> list[GridSpec]:
    """Layers of so many tiles each."""
    return [
        GridSpec(f"l{i}", "a0", (0, 64), tuple(64 * k for k in range(n + 1)))
        for i, n in enumerate(tiles)
    ]


def test_the_target_says_how_many() -> None:
    plan = rpucc.compile("lenet", overrides=["layer.conv1.mapping.replicas=3"]).plan
    assert [layer.replicas for layer in plan.layers] == [3, 1, 1, 1]
    assert plan.layers[0].seconds == pytest.approx(576 / 3 * 1e-8)
    assert plan.layers[0].arrays == 3
    assert plan.layers[0].weights == 16 * 26


def test_no_more_copies_than_reads() -> None:
    plan = rpucc.compile("lenet", overrides=["mapping.replicas=3"]).plan
    assert [layer.replicas for layer in plan.layers] == [3, 3, 1, 1]


def test_auto_needs_a_budget() -> None:
    with pytest.raises(TargetError, match="needs a budget: set count"):
        rpucc.compile("lenet", overrides=["mapping.replicas=auto"])


def test_auto_spends_the_budget_on_the_slowest() -> None:
    overrides = ["mapping.replicas=auto", "array.small.count=12"]
    plan = rpucc.compile("lenet", overrides=overrides, verify=False).plan
    assert plan.arrays["small"] == 12
    assert [layer.replicas for layer in plan.layers] == [10, 1, 1, 1]  # 58 reads against 64
    assert plan.bottleneck == "conv2"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(1, 12)), min_size=1, max_size=3),
    st.integers(0, 12),
)
def test_no_other_choice_makes_the_pipeline_faster(
    layers: list[tuple[int, int]], spare: int
) -> None:
    """Against all choices within the budget."""
    tiles, reads = [n for n, _ in layers], [r for _, r in layers]
    budget = sum(tiles) + spare
    ones = [1] * len(layers)
    found = balance(grids(*tiles), reads, ones, [True] * len(layers), target(budget))
    assert used(tiles, found) <= budget
    best = min(
        slowest(reads, choice)
        for choice in itertools.product(*(range(1, 13) for _ in layers))
        if used(tiles, choice) <= budget
    )
    assert slowest(reads, found) == best


def used(tiles: list[int], copies: object) -> int:
    return sum(n * c for n, c in zip(tiles, copies, strict=True))  # type: ignore[call-overload]


def slowest(reads: list[int], copies: object) -> int:
    return max(-(-r // c) for r, c in zip(reads, copies, strict=True))  # type: ignore[call-overload]


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_the_next_useful_number(reads: int, copies: int) -> None:
    more = next_useful(reads, copies)
    each = -(-reads // copies)
    if more is None:
        assert each == 1
    else:
        assert more > copies
        assert -(-reads // more) < each == -(-reads // (more - 1))
