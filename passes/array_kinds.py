"""Choosing the kind of array for each layer.

Not for cutting the matrices (`tile`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rpucc.target.target import ArrayKind


@dataclass(frozen=True)
class Need:
    """What the choice for one layer depends on."""

    R: int
    C: int
    """One group's matrix."""
    reads: int
    """Forward reads a sample that one copy of the layer does."""
    wish: str
    """`mapping.array` of the target: auto, pipeline, or the name of a kind."""


def choose_kinds(needs: Sequence[Need], kinds: Sequence[ArrayKind]) -> list[ArrayKind]:
    """Return each layer's kind.

    auto: the smallest kind that holds the matrix as one tile, else the largest. pipeline: as auto,
    then the slowest stage of the forward pipeline (reads · t_read) moves to the fastest kind, until
    the slowest can move no more: what is not slow stays on the arrays that hold it best.
    """
    named = {kind.name: kind for kind in kinds}
    chosen = [named.get(need.wish) or smallest_kind(need.R, need.C, kinds) for need in needs]
    least = min(kind.t_read for kind in kinds)

    def seconds(i: int) -> float:
        return needs[i].reads * chosen[i].t_read

    while needs:
        slowest = max(range(len(needs)), key=seconds)
        if needs[slowest].wish != "pipeline" or chosen[slowest].t_read == least:
            break
        fastest = [kind for kind in kinds if kind.t_read == least]
        chosen[slowest] = fewest_tiles(needs[slowest].R, needs[slowest].C, fastest)
    return chosen


def smallest_kind(R: int, C: int, kinds: Sequence[ArrayKind]) -> ArrayKind:
    """Choose the smallest kind of array that holds [R, C] as one tile, else the largest kind.

    Small and large by area; of two alike, the one that reads faster, then the first.
    """
    fitting = [kind for kind in kinds if kind.rows >= R and kind.cols >= C]
    if fitting:
        return min(fitting, key=lambda kind: (kind.rows * kind.cols, kind.t_read))
    return max(kinds, key=lambda kind: (kind.rows * kind.cols, -kind.t_read))


def fewest_tiles(R: int, C: int, kinds: Sequence[ArrayKind]) -> ArrayKind:
    """Choose the kind that cuts [R, C] into the fewest tiles; of two alike, the smaller."""
    return min(
        kinds,
        key=lambda kind: (
            math.ceil(R / kind.rows) * math.ceil(C / kind.cols),
            kind.rows * kind.cols,
        ),
    )
