"""Why a network does not fit a target, as data: what an InfeasibleError reports.

Imports nothing of rpucc, because errors name it. What is short is counted by `budget.py`; how it
looks in a terminal is `rpucc.report.text.infeasible`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Shortage:
    """A kind of array of which there are too few."""

    kind: str
    size: tuple[int, int]
    """Rows and columns of an array."""
    needed: int
    count: int
    """How many there are."""

    @property
    def missing(self) -> int:
        """How many are missing."""
        return self.needed - self.count


@dataclass(frozen=True)
class LayerNeed:
    """What one layer takes."""

    layer: str
    kind: str
    R: int
    C: int
    """One group's matrix."""
    groups: int
    copies: int
    """Replicas."""
    tiles: int
    """Of all groups, copies and planes."""
    arrays: int
    """Arrays that hold tiles of it; where tiles share arrays, other layers may be on them too."""
    planes: int = 1
    """Planes of its cells."""


@dataclass(frozen=True)
class Remedy:
    """A change to the target, and how many arrays the network would need after it."""

    change: str
    """One line, in the keys of a target file."""
    layers: tuple[str, ...]
    """The layers whose rules change; empty where it is the whole target."""
    arrays: Mapping[str, int]
    """Array kind to the arrays needed."""
    fits: bool


@dataclass(frozen=True)
class Infeasible:
    """Why a network does not fit a target."""

    target: str
    shortages: tuple[Shortage, ...]
    layers: tuple[LayerNeed, ...]
    """All layers on arrays, in forward order."""
    remedies: tuple[Remedy, ...]

    def summary(self) -> str:
        """Return the whole as one line, with the first way out that is enough."""
        short = ", ".join(
            f"needs {s.needed:,} arrays {s.kind!r} of {s.size[0]} × {s.size[1]} and there are "
            f"{s.count:,} ({s.missing:,} too few)"
            for s in self.shortages
        )
        enough = next((remedy for remedy in self.remedies if remedy.fits), None)
        way_out = f"; {enough.change} would be enough" if enough is not None else ""
        return f"target {self.target}: the network {short}{way_out}"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data, for JSON."""
        return {
            **dataclasses.asdict(self),
            "shortages": [{**dataclasses.asdict(s), "missing": s.missing} for s in self.shortages],
        }
