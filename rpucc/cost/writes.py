"""How often rows of an array get whole steps of a digital sum, as the update op of a cell says.

Plain numbers only: not for what is sent (docs/cells.md), nor for seconds and joules.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from rpucc.cells import UPDATE_OPS
from rpucc.cells.base import CELL
from rpucc.layers import MASKED, left_out
from rpucc.node_attributes import carried

if TYPE_CHECKING:
    import onnx_ir as ir

_ACCUMULATED = {op: type(cell) for op, cell in UPDATE_OPS.items() if cell.kind == "accumulated"}
"""Op of an update -> its cell, of those with a digital sum."""


@dataclass(frozen=True)
class Writes:
    """The rows that are written with each minibatch, on average; a minibatch is of one sample."""

    rows: float
    """Rows that are written one after the other; all tiles write theirs at once."""
    lines: float
    """The rows of all tiles together."""
    columns: float
    """Columns that those rows have in their tiles, on average."""
    pulsed: bool
    """Whether writing takes pulses, one slot a row where no device gets more than one."""
    absent_values: int
    """Crosspoints of tiles that are not there, of all matrices."""

    @property
    def values(self) -> float:
        """The values that are looked at to be sent."""
        return self.lines * self.columns


def writes_of(update: ir.Node) -> Writes | None:
    """Return what an update op writes; None for that of a cell without a digital sum."""
    attributes = update.attributes
    cell = _ACCUMULATED.get(update.op_type.removeprefix(MASKED))
    if cell is None:
        return None
    # An attribute that is at its default may be absent.
    keys: dict[str, Any] = {each.key: each.of_node(update) for each in carried(cell, CELL)}
    wanted, every = keys["transfer_rows"], keys["transfer_every"]
    heights = [end - start for start, end in pairwise(attributes.get_ints("row_cuts", ()))]
    widths = [end - start for start, end in pairwise(attributes.get_ints("col_cuts", ()))]
    taken = [min(wanted or height, height) for height in heights]
    matrices = attributes.get_int("groups", 1)
    absent = list(left_out(update))
    lines = matrices * sum(taken) * len(widths) - sum(taken[b] for b, *_ in absent)
    values = matrices * sum(taken) * sum(widths) - sum(taken[b] * w for b, _, _, w in absent)
    return Writes(
        rows=max(taken, default=0) / every,
        lines=lines / every,
        columns=values / lines if lines else 0.0,
        pulsed=attributes.get_int("pulsed", 0) == 1,
        absent_values=sum(height * width for *_, height, width in absent),
    )
