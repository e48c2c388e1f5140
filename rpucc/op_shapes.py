"""What shape rules of rpu ops are made of, on plain lists.

onnx needs a rule for each op once a schema is registered: it then no longer looks into the function
body. Rules also know more than the body does (P and K of a kernel follow from attributes).
Dimensions are ints, names, or None where unknown; a mismatch raises ValueError with one line. Not
for the rules themselves: each stands with its op (`rpucc/opset/`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

Dim: TypeAlias = int | str | None
Shape: TypeAlias = list[Dim]
Attributes: TypeAlias = Mapping[str, object]
ShapeRule: TypeAlias = Callable[[Attributes, Sequence[Shape]], list[Shape]]


def ints_of(attributes: Attributes, name: str) -> list[int]:
    """Return an attribute that is a list of integers; empty where it is absent."""
    value = attributes.get(name, ())
    assert isinstance(value, list | tuple)
    return list(value)


def agree(what: str, found: Dim, expected: Dim) -> Dim:
    """Return the better known of two dimensions that must agree."""
    if isinstance(found, int) and isinstance(expected, int) and found != expected:
        raise ValueError(f"{what}: found {found}, expected {expected}")
    return found if isinstance(found, int) else expected


def check_rank(what: str, shape: Shape, lowest: int) -> None:
    """Refuse a shape of fewer axes."""
    if len(shape) < lowest:
        raise ValueError(f"{what} has rank {len(shape)}, needs {lowest} at least")


def check_cuts(name: str, cuts: Sequence[int], lines: Dim) -> None:
    """Refuse cuts that do not rise from 0 to the number of lines."""
    rising = all(a < b for a, b in pairwise(cuts))
    if len(cuts) < 2 or cuts[0] != 0 or not rising:
        raise ValueError(f"{name} must rise from 0, found {list(cuts)}")
    agree(f"the last of {name} {list(cuts)} is not the number of lines", cuts[-1], lines)


def group_rows(attributes: Attributes, W: Shape, *vectors: tuple[str, Shape]) -> Dim:
    """Return the rows of one of the `groups` matrices below each other in W [G*R, C]."""
    groups = attributes.get("groups", 1)
    assert isinstance(groups, int)
    if groups < 1 or (isinstance(W[0], int) and W[0] % groups):
        raise ValueError(f"groups = {groups} do not share out the {W[0]} rows of W")
    if groups > 1:
        for name, vector in vectors:
            check_rank(name, vector, 3)
            agree(f"the axis of {name} before the positions is not groups", vector[-3], groups)
    return W[0] // groups if isinstance(W[0], int) else None
