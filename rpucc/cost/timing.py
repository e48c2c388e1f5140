"""How long one layer's arrays are busy: from reads and updates to seconds. Plain numbers only.

Not for when they start: that is rpucc.plan.schedule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rpucc.cost.transfers import Transfers
from rpucc.cost.writes import Writes

Cycle = Literal["forward", "backward", "update"]

CYCLES: tuple[Cycle, ...] = ("forward", "backward", "update")
"""The three cycles of training in situ, in their order."""


@dataclass(frozen=True)
class Pace:
    """How fast the arrays of one layer work.

    All tiles of a grid are read at once, and so are all groups of a grouped convolution: neither
    number of tiles nor of groups appears here.
    """

    t_read: float
    """Seconds a read of the array kind."""
    t_pulse: float = 0.0
    """Seconds a pulse slot."""
    bl: int = 0
    """Pulse slots an update; 0 where updates are exact or digital and take no pulses."""
    rereads_forward: float = 0.0
    """Mean number of times that bound management repeats a forward read."""
    rereads_backward: float = 0.0
    replicas: int = 1
    """Copies of the whole layer, which read different positions at the same time."""
    shared_updates: bool = True
    """Every copy does all updates, so that copies stay equal; else each does those of its reads."""
    transfers: Transfers | None = None
    """Of cells in which a fast array goes over to a slow one."""
    writes: Writes | None = None
    """Of cells whose gradients are summed digitally and sent row by row."""

    def rereads(self, cycle: Cycle) -> float:
        """Return the mean number of repetitions of a read in `cycle`."""
        return self.rereads_forward if cycle == "forward" else self.rereads_backward

    def seconds(self, cycle: Cycle, count: int) -> float:
        """Return the time that `count` reads, or updates, of one sample take.

            read cycles: ceil(count / replicas) · t_read · (1 + rereads)
            update:      count · BL · t_pulse, or ceil(count / replicas) of them
            transfers:   transfers · columns · (t_read + their BL · t_pulse), in the update cycle
            writes:      rows · t_pulse, in the update cycle: one slot a row

        A grid waits for its slowest tile; the mean of the re-reads of one tile is what counts here.
        """
        share = -(-count // self.replicas)
        if cycle == "update":
            updates = count if self.shared_updates else share
            written = self.t_pulse * self.writes.rows if self.writes and self.writes.pulsed else 0.0
            return updates * self.bl * self.t_pulse + self.transfer_seconds(updates) + written
        return share * self.t_read * (1 + self.rereads(cycle))

    def transfer_seconds(self, updates: int) -> float:
        """Return the time of the transfers that come with so many updates of one sample."""
        found = self.transfers
        if found is None:
            return 0.0
        return found.of(updates) * found.columns * (self.t_read + found.bl * self.t_pulse)
