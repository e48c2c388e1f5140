"""Placement: every tile has a place, none overlap, and known networks take no more than known."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpucc.placement import Block, GridSpec, Placement, place
from rpucc.placement.cuts import balanced_cuts
from rpucc.target.target import ArrayKind

from .networks import mobilenet_v2, resnet, vgg19


def kind(rows: int, cols: int, name: str = "a", count: int = 0) -> ArrayKind:
    return ArrayKind(name=name, rows=rows, cols=cols, t_read=1e-8, count=count)


def cut(shapes: list[tuple[str, int, int, int]], size: int = 512) -> list[GridSpec]:
    """Balanced grids of (layer, R, C, groups) on arrays of size × size."""
    return [
        GridSpec(name, "a", balanced_cuts(R, size), balanced_cuts(C, size), groups)
        for name, R, C, groups in shapes
    ]


@pytest.mark.parametrize(
    ("shapes", "size", "apart", "sharing"),
    [
        (mobilenet_v2(), 512, 191, 155),
        (resnet(50), 512, 155, 148),
        (resnet(18), 512, 75, 72),
        (vgg19(), 512, 566, 565),
        (vgg19(), 128, 8778, 8778),
    ],
)
def test_known_networks(
    shapes: list[tuple[str, int, int, int]], size: int, apart: int, sharing: int
) -> None:
    grids = cut(shapes, size)
    assert place(grids, [kind(size, size)], share=False).arrays == {"a": apart}
    assert place(grids, [kind(size, size)], share=True).arrays["a"] <= sharing


def test_mobilenet_has_one_group_a_tile() -> None:
    shapes = mobilenet_v2()
    assert len(shapes) == 53
    assert sum(grid.tiles for grid in cut(shapes)) == 7191


def test_groups_lie_on_a_diagonal() -> None:
    grids = [GridSpec("dw", "a", (0, 1), (0, 9), groups=5)]
    placed = place(grids, [kind(8, 30)], share=False)
    assert placed.arrays == {"a": 2}
    assert [(b.group, b.array, b.at) for b in placed.blocks()] == [
        (0, 0, (0, 0)),
        (1, 0, (1, 9)),
        (2, 0, (2, 18)),
        (3, 1, (0, 0)),
        (4, 1, (1, 9)),
    ]
    assert placed.utilisation() == 45 / 480


def test_a_group_larger_than_an_array_has_a_grid_of_its_own() -> None:
    grids = [GridSpec("g", "a", (0, 3), (0, 8, 16), groups=2)]
    placed = place(grids, [kind(16, 16)], share=False)
    assert [(b.group, b.col, b.array, b.at) for b in placed.blocks("g")] == [
        (0, 0, 0, (0, 0)),
        (0, 1, 1, (0, 0)),
        (1, 0, 2, (0, 0)),
        (1, 1, 3, (0, 0)),
    ]


def test_copies_lie_apart_unless_tiles_share() -> None:
    grids = [GridSpec("c", "a", (0, 4), (0, 4), copies=3)]
    apart = place(grids, [kind(8, 8)], share=False)
    together = place(grids, [kind(8, 8)], share=True)
    assert [(b.copy, b.array) for b in apart.blocks()] == [(0, 0), (1, 1), (2, 2)]
    assert together.arrays == {"a": 2}
    groups = [GridSpec("g", "a", (0, 2), (0, 2), groups=3, copies=2)]
    assert [b.array for b in place(groups, [kind(8, 8)], share=False).blocks()] == 3 * [0] + 3 * [1]
    assert place(groups, [kind(12, 12)], share=True).arrays == {"a": 1}


def test_sharing_joins_layers_and_numbers_them_in_forward_order() -> None:
    grids = [
        GridSpec("thin", "a", (0, 2), (0, 3)),
        GridSpec("tall", "a", (0, 8), (0, 8)),
        GridSpec("rest", "a", (0, 6), (0, 5)),
    ]
    placed = place(grids, [kind(8, 8)], share=True)
    assert placed.arrays == {"a": 2}
    assert [list(placed.arrays_of(grid.layer)) for grid in grids] == [[0], [1], [0]]
    assert {b.layer: b.at for b in placed.blocks_on("a", 0)} == {"rest": (0, 0), "thin": (6, 5)}


def test_each_kind_counts_from_0() -> None:
    grids = [GridSpec("x", "s", (0, 4), (0, 4)), GridSpec("y", "l", (0, 9), (0, 9))]
    placed = place(grids, [kind(4, 4, "s"), kind(9, 9, "l"), kind(1, 1, "unused")], share=True)
    assert placed.arrays == {"s": 1, "l": 1}
    assert [(b.kind, b.array) for b in placed.blocks()] == [("s", 0), ("l", 0)]
    assert placed.utilisation("s") == placed.utilisation() == 1
    assert placed.utilisation("unused") == 0


def test_millions_of_tiles_are_not_listed() -> None:
    grids = [GridSpec("fc", "a", tuple(range(4097)), tuple(range(9217)))]
    for share in (False, True):
        placed = place(grids, [kind(1, 1)], share=share)
        assert placed.arrays == {"a": 37_748_736}
        assert len(placed.arrays_of("fc")) == placed.count_of("fc") == 37_748_736
        assert [b.array for b in islice(placed.blocks(), 3)] == [0, 1, 2]
        (last,) = placed.blocks_on("a", 37_748_735)
        assert (last.row, last.col) == (4095, 9215)


def test_questions_about_what_is_not_there() -> None:
    placed = place([GridSpec("x", "a", (0, 4), (0, 4))], [kind(4, 4)], share=False)
    assert list(placed.blocks_on("a", 1)) == list(placed.blocks_on("other", 0)) == []
    for ask in (placed.arrays_of, placed.count_of, lambda name: list(placed.blocks(name))):
        with pytest.raises(KeyError):
            ask("y")
    with pytest.raises(ValueError, match=r"layer 'x': a tile of 4 × 4 does not fit .* 3 × 4"):
        place([GridSpec("x", "a", (0, 4), (0, 4))], [kind(3, 4)], share=False)
    with pytest.raises(ValueError, match="no array kind 'b'; there are a"):
        place([GridSpec("x", "b", (0, 4), (0, 4))], [kind(4, 4)], share=False)


# --- any grids ---------------------------------------------------------------------------------

SIZE = (12, 10)


def cuts(limit: int) -> st.SearchStrategy[tuple[int, ...]]:
    sizes = st.lists(st.integers(1, limit), min_size=1, max_size=4)
    return sizes.map(lambda s: tuple(sum(s[:i]) for i in range(len(s) + 1)))


grids_of_layers = st.lists(
    st.builds(
        lambda rows, cols, groups, copies: (rows, cols, groups, copies),
        cuts(SIZE[0]),
        cuts(SIZE[1]),
        st.integers(1, 6),
        st.integers(1, 2),
    ),
    min_size=1,
    max_size=5,
).map(lambda drawn: [GridSpec(f"layer{i}", "a", *each) for i, each in enumerate(drawn)])


@settings(max_examples=150, deadline=None, derandomize=True)
@given(grids_of_layers, st.booleans())
def test_every_tile_has_one_place_of_its_own(grids: list[GridSpec], share: bool) -> None:
    placed = place(grids, [kind(*SIZE)], share=share)
    blocks = list(placed.blocks())
    check(grids, placed, blocks)
    ids = [min(placed.arrays_of(grid.layer)) for grid in grids]
    assert ids[0] == 0
    assert sorted({b.array for b in blocks}) == list(range(placed.arrays["a"]))
    if share:
        first_layer: dict[int, int] = {}
        for block in blocks:
            first_layer.setdefault(block.array, int(block.layer.removeprefix("layer")))
        assert [first_layer[a] for a in sorted(first_layer)] == sorted(first_layer.values())
        assert placed.arrays["a"] <= place(grids, [kind(*SIZE)], share=False).arrays["a"]
    else:
        assert [b.array for b in blocks] == sorted(b.array for b in blocks)


@settings(max_examples=75, deadline=None, derandomize=True)
@given(grids_of_layers, st.booleans(), st.data())
def test_pins_that_say_what_place_chose_change_nothing(
    grids: list[GridSpec], share: bool, data: st.DataObject
) -> None:
    free = place(grids, [kind(*SIZE)], share=share)
    chosen = data.draw(st.sets(st.sampled_from([grid.layer for grid in grids])))
    pinned = [
        replace(grid, pins=tuple(b.array for b in free.blocks(grid.layer)))
        if grid.layer in chosen
        else grid
        for grid in grids
    ]
    placed = place(pinned, [kind(*SIZE)], share=share)
    check(grids, placed, list(placed.blocks()))
    for layer in chosen:
        was, now = free.blocks(layer), placed.blocks(layer)
        assert [b.array for b in now] == [b.array for b in was]
    if not share or len(chosen) == len(grids):
        assert placed.arrays == free.arrays


def check(grids: list[GridSpec], placed: Placement, blocks: list[Block]) -> None:
    """Every tile once, inside its array, on rows and columns that no other tile there uses."""
    expected = [
        (grid.layer, copy, group, row, col)
        for grid in grids
        for copy in range(grid.copies)
        for group in range(grid.groups)
        for row in range(grid.cells[0])
        for col in range(grid.cells[1])
    ]
    assert [block[:5] for block in blocks] == expected
    by_layer = {grid.layer: grid for grid in grids}
    lines: Counter[tuple[int, str, int]] = Counter()
    for block in blocks:
        grid = by_layer[block.layer]
        assert block.rows == grid.row_cuts[block.row : block.row + 2]
        assert block.cols == grid.col_cuts[block.col : block.col + 2]
        for axis, span in (("row", block.rows), ("col", block.cols)):
            start = block.at[axis == "col"]
            end = start + span[1] - span[0]
            assert 0 <= start < end <= SIZE[axis == "col"]
            lines.update((block.array, axis, line) for line in range(start, end))
    assert max(lines.values()) == 1
    ids = sorted({block.array for block in blocks})
    assert sorted(blocks) == sorted(b for a in ids for b in placed.blocks_on("a", a))
    assert placed.arrays == {"a": len(ids)}
    for grid in grids:
        own = sorted({block.array for block in blocks if block.layer == grid.layer})
        assert list(placed.arrays_of(grid.layer)) == own
        assert placed.count_of(grid.layer) == len(own)
    held = sum((b.rows[1] - b.rows[0]) * (b.cols[1] - b.cols[0]) for b in blocks)
    assert placed.utilisation() == pytest.approx(held / (len(ids) * SIZE[0] * SIZE[1]))
    assert all(a < b for a, b in pairwise(ids))
