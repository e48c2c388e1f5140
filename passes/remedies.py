"""What would make a network fit its target: every remedy is worked out, none is guessed.

For each change to the target that could help, cut and place the network again and count its
arrays. Not for the change itself: that is the user's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from rpucc.placement import GridSpec, place
from rpucc.placement.budget import shortages
from rpucc.placement.cuts import balanced_cuts
from rpucc.placement.infeasible import Remedy

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind

LARGEST = 65536
"""Lines that an array may have in a target file."""

Grids = list[GridSpec]
Change = Callable[[GridSpec], GridSpec | None]
"""What becomes of one layer's grid; None where the layer leaves the arrays."""


def find_remedies(
    grids: Sequence[GridSpec], kinds: Sequence[ArrayKind], *, share: bool
) -> tuple[Remedy, ...]:
    """Return the changes that help a network of which `kinds` are too few; those that fit first.

    A change that needs a choice of layers takes as few as possible, those on most arrays first.
    Pins do not count: what a user put somewhere would have to move.
    """
    free = [replace(grid, pins=()) for grid in grids]
    remedies = [*_whole_remedies(free, kinds, share), *_layer_remedies(free, kinds, share)]
    return tuple(sorted(remedies, key=lambda remedy: not remedy.fits))


def _whole_remedies(grids: Grids, kinds: Sequence[ArrayKind], share: bool) -> Iterator[Remedy]:
    """Changes that concern the target or all layers alike."""
    if not share:
        yield _remedy("placement.share = true", grids, kinds, share=True)
    if any(grid.replicas > 1 for grid in grids):
        single = [grid.with_replicas(1) for grid in grids]
        yield _remedy("one copy of each layer (replicas = 1)", single, kinds, share=share)
    if any(len(grid.planes) > 1 for grid in grids):
        plain = [replace(grid, copies=grid.replicas, planes=grid.planes[:1]) for grid in grids]
        change = 'one array in the place of all planes (cell.model = "plain")'
        yield _remedy(change, plain, kinds, share=share)
    if any(grid.devices > 1 for grid in grids):
        named = {kind.name: kind for kind in kinds}
        bare = [_one_device(grid, named[grid.kind]) for grid in grids]
        yield _remedy("one device a weight (devices_per_weight = 1)", bare, kinds, share=share)
    yield from _larger_arrays(grids, kinds, share)


def _larger_arrays(grids: Grids, kinds: Sequence[ArrayKind], share: bool) -> Iterator[Remedy]:
    """As many arrays of the kinds that are short as there are, but twice, four times, .. the size.

    Stops at the first size that is enough, or beyond which the layers need no fewer arrays.
    """
    least = _needed(grids, kinds, share)
    short = {shortage.kind for shortage in shortages(least, kinds)}
    while True:
        kinds = [_doubled(kind) if kind.name in short else kind for kind in kinds]
        named = {kind.name: kind for kind in kinds}
        if any(max(named[name].rows, named[name].cols) > LARGEST for name in short):
            return
        recut = [_recut(g, named[g.kind]) if g.kind in short else g for g in grids]
        needed = _needed(recut, kinds, share)
        sizes = (f"{name} {named[name].rows} × {named[name].cols}" for name in sorted(short))
        if not shortages(needed, kinds):
            yield Remedy(f"larger arrays ({', '.join(sizes)})", (), needed, True)
            return
        if needed == least:
            return
        least = needed


def _layer_remedies(grids: Grids, kinds: Sequence[ArrayKind], share: bool) -> Iterator[Remedy]:
    """Changes to some layers: another kind of array, or none."""
    placement = place(grids, kinds, share=share)
    short = {shortage.kind for shortage in shortages(placement.arrays, kinds)}
    movable = sorted(
        (grid.layer for grid in grids if grid.kind in short),
        key=placement.count_of,
        reverse=True,
    )
    for kind in kinds:
        if kind.name not in short:
            setting = f'mapping.array = "{kind.name}"'
            yield from _fewest_layers(setting, grids, movable, _moved(kind), kinds, share)
    yield from _fewest_layers("analog = false", grids, movable, lambda _: None, kinds, share)


def _fewest_layers(
    setting: str,
    grids: Grids,
    layers: Sequence[str],
    change: Change,
    kinds: Sequence[ArrayKind],
    share: bool,
) -> Iterator[Remedy]:
    """Yield the remedy that changes the first so many of `layers` as relieve the kinds they are on.

    Another kind that takes them up may then be too few: the remedy is shown, and does not fit.
    """
    relieved = {grid.kind for grid in grids if grid.layer in layers}

    def changed(count: int) -> Grids:
        chosen = set(layers[:count])
        results = (change(grid) if grid.layer in chosen else grid for grid in grids)
        return [grid for grid in results if grid is not None]

    def is_enough(count: int) -> bool:
        short = shortages(_needed(changed(count), kinds, share), kinds)
        return relieved.isdisjoint(shortage.kind for shortage in short)

    count = bisect_left(range(len(layers) + 1), True, key=is_enough)
    if count <= len(layers):
        text = f"{setting} for {count} layer{'' if count == 1 else 's'}"
        found = _remedy(text, changed(count), kinds, share=share)
        yield replace(found, layers=tuple(layers[:count]))


def _remedy(change: str, grids: Grids, kinds: Sequence[ArrayKind], *, share: bool) -> Remedy:
    needed = _needed(grids, kinds, share)
    return Remedy(change, (), needed, not shortages(needed, kinds))


def _needed(grids: Grids, kinds: Sequence[ArrayKind], share: bool) -> dict[str, int]:
    return place(grids, kinds, share=share).arrays


def _moved(kind: ArrayKind) -> Change:
    return lambda grid: _recut(grid, kind)


def _recut(grid: GridSpec, kind: ArrayKind) -> GridSpec:
    """Cut a grid anew for a kind of array, into as few tiles as possible."""
    R, C = grid.shape
    return replace(
        grid.with_all_tiles(),  # which of others hold zeros alone is not known here
        kind=kind.name,
        row_cuts=balanced_cuts(R, kind.rows),
        col_cuts=balanced_cuts(C, kind.cols),
    )


def _one_device(grid: GridSpec, kind: ArrayKind) -> GridSpec:
    if grid.devices == 1:
        return grid
    return _recut(replace(grid, row_cuts=(0, grid.shape[0] // grid.devices), devices=1), kind)


def _doubled(kind: ArrayKind) -> ArrayKind:
    return kind.model_copy(update={"rows": 2 * kind.rows, "cols": 2 * kind.cols})
