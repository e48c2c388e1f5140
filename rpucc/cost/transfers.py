"""How often columns of a fast array go over to a slow one, as the update op of a cell says.

Plain numbers only: not for what a transfer does (docs/cells.md), nor for seconds and joules.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rpucc.cells import CELLS
from rpucc.cells.base import CELL
from rpucc.cells.transferred import Transferred
from rpucc.layers import MASKED, left_out
from rpucc.node_attributes import carried

if TYPE_CHECKING:
    import onnx_ir as ir


_TRANSFERRED = {cell.op: cell for cell in CELLS.values() if issubclass(cell, Transferred)}
"""Op of an update -> its cell, of those with a fast array."""


@dataclass(frozen=True)
class Transfers:
    """The transfers of one layer. Each column is read, and then pulsed into the slow array."""

    every: int
    """Updates, or minibatches, from one transfer to the next."""
    by_minibatch: bool
    columns: int
    """Columns that a transfer takes one after the other; all tiles take theirs at once."""
    everywhere: int
    """Columns that it takes of one row of tiles together."""
    bl: int
    """Pulse slots of a column; 0 without pulse trains."""
    absent_columns: int = 0
    """Of tiles that are not there: the columns that a transfer does not take, of all matrices."""
    absent_values: int = 0
    """The crosspoints in them."""

    def of(self, updates: float) -> float:
        """Return the transfers of so many updates of one sample; minibatches are of one sample.

        >>> Transfers(every=2, by_minibatch=False, columns=1, everywhere=1, bl=1).of(64)
        32.0
        """
        return (1 if self.by_minibatch else updates) / self.every


def transfers_of(update: ir.Node) -> Transfers | None:
    """Return the transfers that an update op makes; None for that of a cell that makes none."""
    attributes = update.attributes
    cell = _TRANSFERRED.get(update.op_type.removeprefix(MASKED))
    if cell is None:
        return None
    # An attribute that is at its default may be absent.
    keys: dict[str, Any] = {each.key: each.of_node(update) for each in carried(cell, CELL)}
    wanted = keys["transfer_columns"]
    widths = [end - start for start, end in pairwise(attributes.get_ints("col_cuts", ()))]
    taken = [min(wanted, width) for width in widths]
    absent = [(taken[s], height) for _, s, height, _ in left_out(update)]
    return Transfers(
        absent_columns=sum(columns for columns, _ in absent),
        absent_values=sum(columns * height for columns, height in absent),
        every=keys["transfer_every"],
        by_minibatch=keys["transfer_by_minibatch"],
        columns=max(taken, default=0),
        everywhere=sum(taken),
        bl=keys["transfer_bl"] if attributes.get_int("pulsed", 0) == 1 else 0,
    )
