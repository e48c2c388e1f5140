"""Where the nodes of a directed graph go on paper: in ranks, top to bottom (Sugiyama et al. 1981).

Ranks by the longest path; edges over several ranks pass through bends; the order within a rank
and the positions follow the neighbours' mean. Not for how anything looks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Edges = Sequence[tuple[int, int]]
Point = tuple[float, float]

SWEEPS = 12
"""Rounds down and up; positions move little after ten of them."""
BEND_WIDTH = 6.0
"""Room that an edge takes where it passes a rank."""


@dataclass(frozen=True)
class Layout:
    """Positions in the unit of the sizes given; y grows downwards."""

    corners: tuple[Point, ...]
    """Top left corner of each node."""
    routes: tuple[tuple[Point, ...], ...]
    """For each edge its points from the node above to the node below; straight down or between."""
    width: float
    height: float


def ranks(count: int, edges: Edges) -> list[int]:
    """Return the length of the longest path to each node; nodes are in topological order."""
    found = [0] * count
    for before, after in sorted(edges, key=lambda edge: edge[1]):
        found[after] = max(found[after], found[before] + 1)
    return found


def layout(sizes: Sequence[Point], edges: Edges, gaps: Point) -> Layout:
    """Place nodes of given (width, height); gaps are the least distances across and down."""
    levels = _Levels(sizes, edges, gaps[0])
    levels.settle()
    tops, height = levels.tops(gaps[1])
    left = min(levels.x[i] - levels.widths[i] / 2 for i in range(len(levels.x)))
    right = max(levels.x[i] + levels.widths[i] / 2 for i in range(len(levels.x)))
    corners = tuple(
        (levels.x[i] - w / 2 - left, tops[levels.rank[i]]) for i, (w, _) in enumerate(sizes)
    )
    routes = tuple(levels.route(k, sizes, tops, left) for k in range(len(edges)))
    return Layout(corners, routes, right - left, height)


class _Levels:
    """Nodes and bends by rank, and the centre of each."""

    def __init__(self, sizes: Sequence[Point], edges: Edges, gap: float) -> None:
        self.gap = gap
        self.edges = edges
        self.rank = ranks(len(sizes), edges)
        self.heights = [0.0] * (max(self.rank, default=0) + 1)
        for (_, height), rank in zip(sizes, self.rank, strict=True):
            self.heights[rank] = max(self.heights[rank], height)
        self.widths = [width for width, _ in sizes]
        self.above: list[list[int]] = [[] for _ in sizes]
        self.below: list[list[int]] = [[] for _ in sizes]
        self.bends = [self._add_edge(before, after) for before, after in edges]
        self.levels: list[list[int]] = [[] for _ in self.heights]
        for i, rank in enumerate(self.rank):
            self.levels[rank].append(i)
        self.x = [0.0] * len(self.rank)

    def _add_edge(self, before: int, after: int) -> list[int]:
        """Add a bend in every rank between; return them."""
        bends, last = [], before
        for rank in range(self.rank[before] + 1, self.rank[after]):
            bends.append(len(self.rank))
            self.rank.append(rank)
            self.widths.append(BEND_WIDTH)
            self.above.append([])
            self.below.append([])
            self._link(last, bends[-1])
            last = bends[-1]
        self._link(last, after)
        return bends

    def _link(self, before: int, after: int) -> None:
        self.below[before].append(after)
        self.above[after].append(before)

    def settle(self) -> None:
        """Order and place: sweeps down and up, then by the neighbours on both sides."""
        for sweep in range(SWEEPS):
            down = sweep % 2 == 0
            near = self.above if down else self.below
            for level in self.levels if down else reversed(self.levels):
                self._place(level, near.__getitem__, reorder=True)
        for level in (*self.levels, *reversed(self.levels)):
            self._place(level, lambda i: self.above[i] + self.below[i], reorder=False)

    def _place(self, level: list[int], near: Callable[[int], list[int]], *, reorder: bool) -> None:
        """Bring each item as near to the mean of its neighbours as the others allow."""
        wanted = {i: self._mean(near(i), self.x[i]) for i in level}
        if reorder:
            level.sort(key=lambda i: wanted[i])
        offsets, offset = [], 0.0
        for before, i in zip([None, *level], level, strict=False):
            if before is not None:
                offset += (self.widths[before] + self.widths[i]) / 2 + self.gap
            offsets.append(offset)
        free = isotonic([wanted[i] - o for i, o in zip(level, offsets, strict=True)])
        for i, x, o in zip(level, free, offsets, strict=True):
            self.x[i] = x + o

    def _mean(self, near: list[int], default: float) -> float:
        return sum(self.x[i] for i in near) / len(near) if near else default

    def tops(self, gap: float) -> tuple[list[float], float]:
        """Return the y of each rank and the height of all."""
        found, y = [], 0.0
        for height in self.heights:
            found.append(y)
            y += height + gap
        return found, y - gap

    def route(
        self, edge: int, sizes: Sequence[Point], tops: list[float], left: float
    ) -> tuple[Point, ...]:
        """Return the points of an edge; a bend is straight over the height of its rank."""
        before, after = self.edges[edge]
        points = [(self.x[before] - left, tops[self.rank[before]] + sizes[before][1])]
        for bend in self.bends[edge]:
            x, top = self.x[bend] - left, tops[self.rank[bend]]
            points += [(x, top), (x, top + self.heights[self.rank[bend]])]
        points.append((self.x[after] - left, tops[self.rank[after]]))
        return tuple(points)


def isotonic(values: Sequence[float]) -> list[float]:
    """Return the non-decreasing sequence nearest to `values` in least squares.

    Pool adjacent violators (Barlow et al. 1972).

    >>> isotonic([1.0, 3.0, 2.0, 4.0])
    [1.0, 2.5, 2.5, 4.0]
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        total, count = value, 1
        while pools and pools[-1][0] * count > total * pools[-1][1]:
            more, many = pools.pop()
            total, count = total + more, count + many
        pools.append((total, count))
    return [total / count for total, count in pools for _ in range(count)]
