"""Ties: which constants of a model are the same numbers of the file, and in what order.

The importer ties constants (`frontend/sharing.py`); passes that write a weight anew carry its tie
along. Not for which layers then share a matrix: that is `shared_matrix.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

_KEY = "rpucc.tie"


@dataclass(frozen=True)
class Tie:
    """A constant whose numbers the file uses in another place as well."""

    origin: str
    """The weight's name in the file."""
    index: NDArray[np.int32]
    """Where each of its numbers stands in the weight, flat; in the constant's own shape."""
    exact: bool
    """Whether the numbers are the weight's own; else they are computed from them."""

    def overlaps(self, other: Tie) -> bool:
        """Whether both hold, or come from, some same number of the same weight."""
        if self.origin != other.origin:
            return False
        return bool(np.isin(self.index, other.index).any())


def ties_of(value: ir.Value | None) -> tuple[Tie, ...]:
    """Return the ties of a constant; none for most. A matrix of several uses is tied to itself."""
    if value is None or value.const_value is None:
        return ()
    shape = tuple(value.const_value.shape.numpy())
    if noted_ties(value) or len(shape) < 2 or len(list(value.uses())) < 2:
        return noted_ties(value)
    index = np.arange(int(np.prod(shape)), dtype=np.int32).reshape(shape)
    return (Tie(str(value.name), index, exact=True),)


def noted_ties(value: ir.Value) -> tuple[Tie, ...]:
    """Return the ties that have been noted of a constant."""
    found: tuple[Tie, ...] = value.meta.get(_KEY, ())
    return found


def tie(value: ir.Value, ties: tuple[Tie, ...]) -> None:
    """Note a constant's ties."""
    value.meta[_KEY] = ties


def carry_ties(
    old: ir.Value, new: ir.Value, layout: Callable[[NDArray[np.generic]], NDArray[np.generic]]
) -> None:
    """Tie `new` as `old` is: it holds layout(numbers of `old`), in another order and shape."""
    if ties_of(old):
        moved = ((each, layout(each.index)) for each in ties_of(old))
        tie(new, tuple(Tie(t.origin, i.astype(np.int32), t.exact) for t, i in moved))


def loosen_ties(old: ir.Value, new: ir.Value) -> None:
    """Tie `new` to what `old` is tied to: its numbers are computed from those of `old`."""
    if ties_of(old):
        tie(new, tuple(Tie(each.origin, each.index, exact=False) for each in ties_of(old)))
