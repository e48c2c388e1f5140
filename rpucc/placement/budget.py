"""The budget: of which kinds of array there are too few, and what each layer takes.

What is reported then is `infeasible.py`; what would make a network fit is worked out by
`rpucc.passes.remedies`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rpucc.placement.infeasible import LayerNeed, Shortage

if TYPE_CHECKING:
    from rpucc.placement.placement import Placement
    from rpucc.target.target import ArrayKind


def shortages(needed: Mapping[str, int], kinds: Sequence[ArrayKind]) -> tuple[Shortage, ...]:
    """Return the kinds of which more arrays are needed than there are."""
    return tuple(
        Shortage(kind.name, (kind.rows, kind.cols), needed[kind.name], kind.count)
        for kind in kinds
        if kind.count and needed.get(kind.name, 0) > kind.count
    )


def layer_needs(placement: Placement) -> tuple[LayerNeed, ...]:
    """Return what each layer takes, in forward order."""
    return tuple(
        LayerNeed(
            grid.layer,
            grid.kind,
            *grid.shape,
            grid.groups,
            grid.replicas,
            grid.tiles,
            placement.count_of(grid.layer),
            len(grid.planes),
        )
        for grid in placement.grids
    )
