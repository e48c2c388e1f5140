"""Pins: what a user may ask of placement, and why the rest is refused."""

from __future__ import annotations

import pytest

from rpucc.errors import TargetError
from rpucc.placement import GridSpec, place
from rpucc.target.target import ArrayKind


def kind(count: int = 0) -> ArrayKind:
    return ArrayKind(name="a", rows=8, cols=8, t_read=1e-8, count=count)


def layer(name: str, rows: int, cols: int, *pins: int, **more: int) -> GridSpec:
    return GridSpec(name, "a", (0, rows), (0, cols), pins=pins, **more)


def homes(*grids: GridSpec, share: bool = False, count: int = 0) -> dict[str, list[int]]:
    placed = place(grids, [kind(count)], share=share)
    return {grid.layer: [block.array for block in placed.blocks(grid.layer)] for grid in grids}


def refusal(*grids: GridSpec, share: bool = False, count: int = 0) -> str:
    with pytest.raises(TargetError) as error:
        place(grids, [kind(count)], share=share)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_others_take_the_ids_around_pinned_arrays() -> None:
    cut = GridSpec("cut", "a", (0, 4, 8, 12), (0, 8))
    assert homes(layer("x", 8, 8), layer("y", 8, 8, 1), cut, layer("z", 8, 8, 9)) == {
        "x": [0],
        "y": [1],
        "cut": [2, 3, 4],
        "z": [9],
    }
    placed = place([layer("far", 8, 8, 9)], [kind()], share=False)
    assert placed.arrays == {"a": 1}
    assert list(placed.arrays_of("far")) == [9]


def test_one_id_a_tile_or_one_an_array_of_groups() -> None:
    groups = {"groups": 5}  # 2 × 3: two of them lie on one array
    by_array = homes(layer("g", 2, 3, 7, 0, 4, **groups))
    by_group = homes(layer("g", 2, 3, 7, 7, 0, 0, 4, **groups))
    assert by_array == by_group == {"g": [7, 7, 0, 0, 4]}
    assert refusal(layer("g", 2, 3, 7, 0, **groups)) == (
        "layer 'g': arrays: found 2 ids; needs one id for each of its 5 tiles, or for each of the "
        "3 arrays that its groups lie on"
    )
    assert refusal(layer("x", 8, 8, 0, 1)).endswith("found 2 ids; needs one id")


def test_free_layers_join_pinned_ones_where_tiles_share() -> None:
    assert homes(layer("x", 4, 4, 5), layer("y", 4, 4), share=True) == {"x": [5], "y": [5]}
    assert homes(layer("x", 4, 4, 5), layer("y", 4, 4), share=False) == {"x": [5], "y": [0]}


def test_an_array_for_two_layers_needs_sharing() -> None:
    both = layer("x", 4, 4, 3), layer("y", 4, 4, 3)
    assert homes(*both, share=True) == {"x": [3], "y": [3]}
    assert refusal(*both) == (
        "layer 'y': arrays: array 3 holds layer 'x' already; take another, or let tiles share "
        "arrays with placement.share = true"
    )


def test_two_tiles_of_a_layer_need_sharing() -> None:
    cut = GridSpec("cut", "a", (0, 4, 8), (0, 4), pins=(0, 0))
    assert "array 0 holds another tile of the layer already" in refusal(cut)
    assert refusal(layer("c", 4, 4, 0, 0, copies=2)).startswith("layer 'c': arrays: array 0 holds")


def test_tiles_that_overlap() -> None:
    assert refusal(layer("x", 4, 5, 3), layer("y", 2, 4, 3), share=True) == (
        "layer 'y': arrays: a tile of 2 × 4 does not fit array 3 beside what lies there ('x'): of "
        "8 rows and 8 columns, 4 and 3 are free (tiles on an array take disjoint rows and columns)"
    )


def test_more_groups_than_an_array_takes() -> None:
    refused = refusal(layer("g", 2, 3, 0, 0, 0, groups=3))
    assert "does not fit array 0 beside what lies there ('g')" in refused


def test_beyond_the_count() -> None:
    assert homes(layer("x", 8, 8, 3), count=4) == {"x": [3]}
    assert refusal(layer("x", 8, 8, 4), count=4) == (
        "layer 'x': arrays: found array 4; there are 4 arrays 'a' (array.count), so ids go from 0 "
        "to 3"
    )
