"""How often columns of an array go over to another one, as the update op of a cell says.

Plain numbers only: not for what a transfer does (docs/cells.md), nor for seconds and joules.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rpucc.cells.one_sided import OneSided
from rpucc.cells.transferred import ColumnTransfer, Transferred
from rpucc.layers import left_out, settings_of

if TYPE_CHECKING:
    import onnx_ir as ir


@dataclass(frozen=True)
class Transfers:
    """The transfers of one layer. Each column is read, and then pulsed into the slow array.

    Refreshes of pairs are some, too: each column of both arrays is read, and none is pulsed.
    """

    every: float
    """Updates, or minibatches, from one transfer to the next, those between all arrays together."""
    by_minibatch: bool
    columns: int
    """Columns that a transfer takes one after the other; all tiles take theirs at once."""
    everywhere: int
    """Columns that it takes of one row of tiles together."""
    bl: int
    """Pulse slots of a column; 0 without pulse trains."""
    memory: int = 0
    """Numbers of digital memory a weight, each of which a transfer reads and writes."""
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
    cell, attributes = settings_of(update), update.attributes
    if isinstance(cell, OneSided):
        return _refreshes_of(update, cell)
    if not isinstance(cell, ColumnTransfer):
        return None
    wanted, often = cell.transfer_columns, [cell.transfer_every]
    if isinstance(cell, Transferred):
        often = [link.every for link in cell.links]
    widths = [end - start for start, end in pairwise(attributes.get_ints("col_cuts", ()))]
    taken = [min(wanted, width) for width in widths]
    absent = [(taken[s], height) for _, s, height, _ in left_out(update)]
    return Transfers(
        absent_columns=sum(columns for columns, _ in absent),
        absent_values=sum(columns * height for columns, height in absent),
        memory=len(cell.buffers),
        every=often[0] if len(often) == 1 else 1 / sum(1 / every for every in often),
        by_minibatch=cell.transfer_by_minibatch,
        columns=max(taken, default=0),
        everywhere=sum(taken),
        bl=cell.transfer_bl if attributes.get_int("pulsed", 0) == 1 else 0,
    )


def _refreshes_of(update: ir.Node, cell: OneSided) -> Transfers | None:
    """The reads of refreshes; writing is not counted, as programming is not."""
    if not cell.refresh_every or not update.attributes.get_int("pulsed", 0):
        return None
    widths = [end - start for start, end in pairwise(update.attributes.get_ints("col_cuts", ()))]
    absent = [(widths[s], height) for _, s, height, _ in left_out(update)]
    planes = len(cell.planes)  # on arrays of their own, which are read side by side
    return Transfers(
        absent_columns=planes * sum(columns for columns, _ in absent),
        absent_values=planes * sum(columns * height for columns, height in absent),
        every=cell.refresh_every,
        by_minibatch=True,
        columns=max(widths, default=0),
        everywhere=planes * sum(widths),
        bl=0,
    )
