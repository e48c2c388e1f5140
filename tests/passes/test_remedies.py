"""Remedies: each number is what placing the changed network gives, and what fits does fit."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.passes.remedies import find_remedies
from rpucc.placement import GridSpec, place
from rpucc.placement.budget import shortages
from rpucc.placement.cuts import balanced_cuts
from rpucc.placement.infeasible import Remedy
from rpucc.target.target import ArrayKind

SMALL = ArrayKind(name="small", rows=8, cols=8, t_read=1e-8, count=4)
LARGE = ArrayKind(name="large", rows=32, cols=32, t_read=8e-8, count=1)


def grid(name: str, R: int, C: int, **more: int) -> GridSpec:
    return GridSpec(name, "small", balanced_cuts(R, 8), balanced_cuts(C, 8), **more)


def remedies(*grids: GridSpec, share: bool = False) -> dict[str, Remedy]:
    kinds = SMALL, LARGE
    assert shortages(place(grids, kinds, share=share).arrays, kinds)
    return {remedy.change: remedy for remedy in find_remedies(grids, kinds, share=share)}


def test_sharing() -> None:
    found = remedies(*(grid(f"l{i}", 2, 3) for i in range(6)))
    sharing = found["placement.share = true"]
    assert (sharing.arrays, sharing.fits, sharing.layers) == ({"small": 3}, True, ())
    assert next(iter(found)) == "placement.share = true"


def test_what_is_not_enough_is_said_too_and_comes_last() -> None:
    found = remedies(*(grid(f"l{i}", 6, 6) for i in range(6)))
    assert found["placement.share = true"].arrays == {"small": 6}
    assert not found["placement.share = true"].fits
    fits = [remedy.fits for remedy in found.values()]
    assert fits == sorted(fits, reverse=True)
    assert True in fits


def test_layers_move_or_leave_largest_first_and_no_more_than_needed() -> None:
    found = remedies(grid("a", 8, 8), grid("b", 8, 24), grid("c", 16, 16), grid("d", 8, 8))
    moved = found['mapping.array = "large" for 2 layers']
    assert moved.layers == ("c", "b")
    assert moved.arrays == {"small": 2, "large": 2}
    assert not moved.fits  # there is one large array
    digital = found["analog = false for 2 layers"]
    assert (digital.layers, digital.arrays, digital.fits) == (("c", "b"), {"small": 2}, True)


def test_one_layer_moves_to_the_larger_kind() -> None:
    found = remedies(grid("a", 8, 8), grid("c", 16, 16))
    moved = found['mapping.array = "large" for 1 layer']
    assert (moved.layers, moved.arrays, moved.fits) == (("c",), {"small": 1, "large": 1}, True)


def test_larger_arrays() -> None:
    found = remedies(grid("a", 32, 16))
    assert found["larger arrays (small 16 × 16)"].arrays == {"small": 2}


def test_fewer_copies_and_fewer_devices() -> None:
    found = remedies(grid("a", 8, 8, copies=3), grid("b", 24, 8, devices=3))
    copies = found["one copy of each layer (replicas = 1)"]
    assert (copies.arrays, copies.fits) == ({"small": 4}, True)
    devices = found["one device a weight (devices_per_weight = 1)"]
    assert (devices.arrays, devices.fits) == ({"small": 4}, True)
    assert not {"one copy of each layer (replicas = 1)", "one device a weight"} & set(
        remedies(grid("c", 40, 8))
    )


def test_pins_are_left_out() -> None:
    grids = [grid(f"l{i}", 2, 3, pins=(i,)) for i in range(5)]
    kinds = [SMALL.model_copy(update={"count": 0})]
    assert place(grids, kinds, share=True).arrays == {"small": 5}
    (sharing, *_) = find_remedies(grids, [SMALL], share=False)
    assert sharing.arrays == {"small": 3}


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=2, max_size=6),
    st.booleans(),
)
def test_doing_what_a_remedy_says_needs_what_it_says(
    shapes: list[tuple[int, int]], share: bool
) -> None:
    grids = [grid(f"l{i}", *shape) for i, shape in enumerate(shapes)]
    for remedy in find_remedies(grids, [SMALL, LARGE], share=share):
        assert remedy.fits == (not shortages(remedy.arrays, [SMALL, LARGE]))
        if remedy.change.startswith("analog"):
            left = [g for g in grids if g.layer not in remedy.layers]
            assert place(left, [SMALL, LARGE], share=share).arrays == remedy.arrays
